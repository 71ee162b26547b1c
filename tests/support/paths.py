"""Paths of the checkout, for tests that read documents, start programs or need the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["BODIES", "ROOT", "VECTORS"]

ROOT = Path(__file__).resolve().parents[2]

VECTORS = ROOT / "lobby" / "wire" / "vectors"
"""Encoded messages with their content, which a server publishes below /docs."""

BODIES: dict[str, dict[str, Any]] = {
    body["id"]: body for body in json.loads((ROOT / "catalogue" / "catalogue.json").read_text())["bodies"]
}
"""The catalogue's bodies by id."""
