"""Tussle: a multiplayer lobby and session server for shared soft-body physics.

The public API. Names are loaded when they are first used (PEP 562), so that ``import tussle`` costs nothing and
``import tussle.lobby`` loads no client.

In a checkout the packages lie beside this folder (``server/``, ``lobby/``, ...); an installed wheel has them inside.
Both are imported by one name, ``tussle.server``: in a checkout the parent folder is a second place to look for
submodules. The file ``.checkout`` marks a checkout; it is not part of the wheel.
"""

from __future__ import annotations

from pathlib import Path

if (Path(__file__).parent / ".checkout").is_file():
    __path__.append(str(Path(__file__).resolve().parent.parent))
