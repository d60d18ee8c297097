"""`thundercast-trainer`. Exit codes: 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import sys

from thundercast.adapters import command
from thundercast_trainer.running import run
from thundercast_trainer.settings import TrainerSettings

ABOUT = (
    "Pulls clean batches (or takes what is pushed), predicts every row before learning from it, writes scores to the store and serves "
    "predictions. One process leads; others stand by and serve from the newest checkpoint. "
    "Example: thundercast-trainer --project my-project --checkpoints gs://my-bucket/thundercast"
)


def main() -> int:
    """The entry point."""
    return command.main(TrainerSettings, run, prog="thundercast-trainer", about=ABOUT)


if __name__ == "__main__":
    sys.exit(main())
