"""`thundercast-launch`. Exit codes: 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Final

from thundercast.adapters import command
from thundercast_launcher.running import run
from thundercast_launcher.settings import LauncherSettings

PROG: Final = "thundercast-launch"
ABOUT: Final = (
    "Has the cleaner's Dataflow job run: creates it, updates it if its specification has changed, or leaves it, and waits until it runs. "
    "Drains or cancels it. Flags may be written as Beam writes them, --job_name; every option of Beam and its runner is taken too, "
    "as --name=value. "
    "Example: thundercast-launch launch --project my-project --region us-central1 --checkpoints gs://my-bucket/thundercast "
    "--sdk-container-image us-central1-docker.pkg.dev/my-project/thundercast/dataflow:v1 "
    "--service-account-email cleaner-worker@my-project.iam.gserviceaccount.com"
)


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point."""
    words = list(sys.argv[1:] if argv is None else argv)
    return command.main(LauncherSettings, run, prog=PROG, about=ABOUT, argv=flags(words))


def flags(words: Sequence[str]) -> list[str]:
    """The words with our flags as they are written here, and those that are not ours as `beam_options`.

    >>> flags(["drain", "--job_name=cleaner", "--no_use_public_ips", "--experiments=a"])
    ['drain', '--job-name=cleaner', '--no-use-public-ips', '--beam-options=["--experiments=a"]']
    """
    ours, beam = [], []
    for word in words:
        name, given, value = word.removeprefix("--").partition("=")
        setting = name.replace("-", "_")
        if not word.startswith("--") or setting in ("help", "version"):
            ours.append(word)
        elif setting in _NAMES:
            ours.append(f"--{setting.replace('_', '-')}{given}{value}")
        else:
            beam.append(word)
    return [*ours, f"--beam-options={json.dumps(beam)}"] if beam else ours


_NAMES: Final = frozenset(LauncherSettings.model_fields) | {
    f"no_{name}" for name, field in LauncherSettings.model_fields.items() if field.annotation is bool
}

if __name__ == "__main__":
    sys.exit(main())
