"""Names the packages that the solver needs and this platform lacks.

Wheels of ipctk exist for Linux x86_64, macOS arm64 and Windows x86_64. The client, the bots and the workers run
without it. A server or a simulation checks first and reports one sentence instead of a traceback. This module must
never import a package that it looks for.
"""

from __future__ import annotations

import importlib.util
import platform

__all__ = ["missing_packages"]

NEEDED = ("ipctk", "numba", "meshio", "scipy")


def missing_packages() -> str:
    """One sentence that names the missing packages, or "" when a simulation can run."""
    missing = [name for name in NEEDED if not _is_installed(name)]
    if not missing:
        return ""
    return (
        f"the solver needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed on "
        f"{platform.system()} {platform.machine()}; without a solver only the client, bots and workers run"
    )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
