#!/usr/bin/env python3
"""Writes docs/settings.md from the settings' types: `python scripts/settings.py`. A test holds the page to them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from thundercast.adapters.settings import CloudSettings, PartSettings, RunSettings, Settings, rows
from thundercast_cleaner.settings import CleanerSettings
from thundercast_dashboard.settings import DashboardSettings
from thundercast_launcher.settings import LauncherSettings
from thundercast_simulator.settings import SimulatorSettings
from thundercast_trainer.settings import TrainerSettings

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_HEAD: Final = """# Settings

Flags win over variables, which win over `thundercast.toml` in the working folder. A setting that several programs share has one name
and one default in all of them. Lists in variables are JSON: `THUNDERCAST_MODELS='["thunder","logistic"]'`. A flag is the setting's
name with dashes: `--raw-topic`.

Written by `scripts/settings.py`; do not edit it by hand.
"""
_MEET: Final = """For `thundercast-simulator`, `thundercast-cleaner`, `thundercast-trainer`, `thundercast-launch`,
`thundercast bootstrap` and `thundercast dead-letters`. Google's clients honour variables of their own:
`GOOGLE_APPLICATION_CREDENTIALS`, and for stand-ins `PUBSUB_EMULATOR_HOST` (HOST:PORT), `BIGQUERY_EMULATOR_HOST` (http://HOST:PORT),
`STORAGE_EMULATOR_HOST` (http://HOST:PORT) and `BIGQUERY_STORAGE_EMULATOR_HOST` (HOST:PORT of the store's gRPC side)."""
_LOOP: Final = "For `thundercast-cleaner` and `thundercast-trainer`. Times are in seconds."
_SEEN: Final = "Beside where the parts meet; there it reads the dataset and nothing else."
_LAUNCHED: Final = """Beside where the parts meet. Times are in seconds. Settings that Beam has too are called as they are there, and
flags may be written as Beam writes them, `--job_name`; every other option of Beam is taken too, as `--name=value`. `action` is the
first word of the command line."""
_SECTIONS: Final[tuple[tuple[str, str, type[Settings], type[Settings] | None], ...]] = (
    ("`thundercast run`", "Everything in one process.", RunSettings, None),
    ("Where the parts meet", _MEET, CloudSettings, None),
    ("Parts that run the stage loop", _LOOP, PartSettings, CloudSettings),
    ("`thundercast-simulator`", "Beside where the parts meet.", SimulatorSettings, CloudSettings),
    ("`thundercast-cleaner`", "Beside those of every part.", CleanerSettings, PartSettings),
    ("`thundercast-trainer`", "Beside those of every part.", TrainerSettings, PartSettings),
    ("`thundercast-launch`", _LAUNCHED, LauncherSettings, CloudSettings),
    ("`python -m thundercast_dashboard`", _SEEN, DashboardSettings, CloudSettings),
)


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, about, settings, base in _SECTIONS:
        lines = ["| setting | variable | default | what |", "| --- | --- | --- | --- |", *rows(settings, without=base)]
        parts.append(f"## {title}\n\n{about}\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
