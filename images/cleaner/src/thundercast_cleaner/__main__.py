"""`thundercast-cleaner`. Exit codes: 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import sys

from thundercast.adapters import command
from thundercast_cleaner.running import run
from thundercast_cleaner.settings import CleanerSettings

ABOUT = (
    "Pulls raw batches, cleans them in order, publishes clean ones. For where there is no Dataflow. One worker leads for each group of "
    "shards; others of the group stand by. Example: thundercast-cleaner --project my-project --checkpoints gs://my-bucket/thundercast"
)


def main() -> int:
    """The entry point."""
    return command.main(CleanerSettings, run, prog="thundercast-cleaner", about=ABOUT)


if __name__ == "__main__":
    sys.exit(main())
