"""`python -m thundercast_dashboard --store store.db --port 8501`. Exit codes: 2 usage, else the server's."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from thundercast.adapters import command
from thundercast.adapters.refusals import Usage
from thundercast_dashboard import serve, store
from thundercast_dashboard.settings import DashboardSettings

ABOUT = "Serves the dashboard of a store. Example: python -m thundercast_dashboard --store bigquery --project my-project --port 8501"


def run(settings: DashboardSettings) -> NoReturn:
    """Replaces this process by the server."""
    # It is another program: flags reach it as the variables that it reads.
    os.environ |= {"THUNDERCAST_PROJECT": settings.project, "THUNDERCAST_DATASET": settings.dataset}
    try:
        store.named(settings.store).open().close()
    except ModuleNotFoundError as error:
        raise Usage(f"the store {settings.store} needs Google's clients ({error}): pip install 'thundercast-dashboard[cloud]'") from error
    arguments = serve.command(settings.store, settings.port, settings.host)
    sys.stdout.flush()
    os.execv(arguments[0], arguments)  # noqa: S606


def main() -> int:
    """The entry point."""
    return command.main(DashboardSettings, run, prog="thundercast_dashboard", about=ABOUT)


if __name__ == "__main__":
    sys.exit(main())
