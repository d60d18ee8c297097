"""`thundercast-simulator`. Exit codes: 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import sys

from thundercast.adapters import command
from thundercast_simulator.running import run
from thundercast_simulator.settings import SimulatorSettings

ABOUT = (
    "Replays a source into the topic of raw batches, at a pace, and pauses while the trainer is too far behind. "
    "Example: thundercast-simulator --source bigquery:2015-2025 --project my-project --checkpoints gs://my-bucket/thundercast"
)


def main() -> int:
    """The entry point."""
    return command.main(SimulatorSettings, run, prog="thundercast-simulator", about=ABOUT)


if __name__ == "__main__":
    sys.exit(main())
