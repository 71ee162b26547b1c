"""``python -m tussle.server.physics.schema`` writes the JSON Schema of scenes to docs/scene.schema.json."""

from __future__ import annotations

import json
from pathlib import Path

from tussle.lobby.rules.scenes import scene_schema

__all__ = ["PATH", "schema_text"]

PATH = Path(__file__).resolve().parents[2] / "docs" / "scene.schema.json"


def schema_text() -> str:
    """Return the schema as it is published."""
    return json.dumps(scene_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema_text())
