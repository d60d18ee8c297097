"""The files that are made of the dashboards, and their texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import kubernetes, skill, stream

FOLDER: Final = Path(__file__).resolve().parents[2] / "charts" / "thundercast" / "files" / "dashboards"
BOARDS: Final = (stream, skill, kubernetes)


def files() -> dict[Path, str]:
    """Each dashboard's file and what belongs into it; the name is the end of the dashboard's uid."""
    made = {}
    for module in BOARDS:
        board = module.board()
        made[FOLDER / f"{str(board.uid).removeprefix('thundercast-')}.json"] = json.dumps(board, cls=JSONEncoder, indent=2) + "\n"
    return made
