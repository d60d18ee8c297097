"""Hands what the chart renders for Cloud Run to gcloud, object by object.

    helm template tc charts/thundercast -f charts/thundercast/values-cloudrun.yaml -f own.yaml > cloudrun.yaml
    scripts/cloudrun replace cloudrun.yaml --project P --region R --dry-run    Cloud Run looks whether it would take them, but for Jobs
    scripts/cloudrun replace cloudrun.yaml --project P --region R
    scripts/cloudrun delete cloudrun.yaml --project P --region R               takes away what was made; asks first, --yes does not

`gcloud run … replace` takes one object at a time, and has a command for each kind. Exit codes: 0 done, 1 failed, 2 usage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

GROUPS: Final = {
    ("serving.knative.dev/v1", "Service"): "run services",
    ("run.googleapis.com/v1", "Job"): "run jobs",
    # Newer versions have it without `beta`, too.
    ("run.googleapis.com/v1", "WorkerPool"): "beta run worker-pools",
}
"""gcloud's command group for each kind."""
NO_DRY_RUN: Final = {"run jobs"}
"""Groups whose `replace` cannot only look."""


class Failed(Exception):
    """It was not done; the message says what and why."""


def objects(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Group, name and object of each document.

    Raises:
        Failed: a document is no object of Cloud Run, or there is none.
    """
    found = []
    for document in yaml.safe_load_all(text):
        if not document:
            continue
        kind = (document.get("apiVersion"), document.get("kind")) if isinstance(document, dict) else None
        if kind not in GROUPS:
            said = "/".join(map(str, kind)) if kind else str(document)[:80]
            raise Failed(f"{said} is nothing of Cloud Run's: render with -f charts/thundercast/values-cloudrun.yaml")
        found.append((GROUPS[kind], document["metadata"]["name"], document))
    if not found:
        raise Failed("there is nothing to read: pipe in what `helm template` prints")
    return found


def replace(group: str, name: str, thing: dict[str, Any], flags: Sequence[str]) -> None:
    """Makes an object as it is said to be, or has what is there become so.

    Raises:
        Failed: gcloud says no; it has said why.
    """
    print(f"{group} {name}", flush=True)
    given = yaml.safe_dump(thing, sort_keys=False)
    if subprocess.run(["gcloud", *group.split(), "replace", "-", *flags], input=given, text=True, check=False).returncode:
        raise Failed(f"{group} {name} was not replaced (gcloud's reason stands above); what came before it was")


def delete(group: str, name: str, flags: Sequence[str]) -> None:
    """Takes an object away.

    Raises:
        Failed: gcloud says no; it has said why.
    """
    print(f"{group} {name}", flush=True)
    if subprocess.run(["gcloud", *group.split(), "delete", name, "--quiet", *flags], stdin=subprocess.DEVNULL, check=False).returncode:
        raise Failed(f"{group} {name} was not deleted (gcloud's reason stands above)")


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="scripts/cloudrun", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("replace", "delete"), help="make them as they are rendered, or take them away")
    parser.add_argument("file", nargs="?", default="-", help="what was rendered; by default standard input")
    parser.add_argument("--project", required=True, help="id of the Google Cloud project")
    parser.add_argument("--region", required=True, help="region of Cloud Run")
    parser.add_argument("--dry-run", action="store_true", help="with replace: Cloud Run validates, and changes nothing")
    parser.add_argument("--yes", action="store_true", help="with delete: do not ask")
    given = parser.parse_args(argv)
    if given.action == "delete" and given.dry_run:
        parser.error("--dry-run goes with replace")
    # Not every command has a flag for the region; all heed the setting.
    os.environ["CLOUDSDK_RUN_REGION"] = given.region
    flags = [f"--project={given.project}"]
    try:
        found = objects(sys.stdin.read() if given.file == "-" else Path(given.file).read_text(encoding="utf-8"))
        if shutil.which("gcloud") is None:
            raise Failed("gcloud is not installed: https://cloud.google.com/sdk/docs/install")
        if given.action == "replace":
            for group, name, thing in found:
                if given.dry_run and group in NO_DRY_RUN:
                    print(f"{group} {name}: gcloud cannot try it without making it")
                else:
                    replace(group, name, thing, [*flags, *(["--dry-run"] if given.dry_run else [])])
            return 0
        if not given.yes:
            if given.file == "-":
                raise Failed("standard input is what was rendered, so nobody can be asked: say --yes, or name the file")
            names = ", ".join(f"{group} {name}" for group, name, _ in found)
            if input(f"Delete {names} in {given.region} of {given.project}? Type yes: ") != "yes":
                raise Failed("nothing was deleted")
        for group, name, _ in found:
            delete(group, name, flags)
    except (Failed, OSError, yaml.YAMLError) as error:
        print(f"cloudrun: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
