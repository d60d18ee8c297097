"""What becomes of the Dataflow job when the release goes: a hook ends it, never hangs, and the notes say what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from charts.rendering import HELMS, notes, objects, one, profile, render, text
from thundercast.adapters import command
from thundercast_launcher.__main__ import ABOUT, PROG, flags
from thundercast_launcher.settings import LauncherSettings


def launch(**how: Any) -> dict[str, Any]:
    return {"dataflow": {"launch": how}}


def hooks(values: dict[str, Any], case: str = "dataflow", helm: str = "helm") -> list[dict[str, Any]]:
    files, more = profile(case)
    rendered = render(files, {**more, **values}, helm=helm)
    return [thing for thing in rendered if "pre-delete" in thing["metadata"].get("annotations", {}).get("helm.sh/hook", "")]


def settings(job: dict[str, Any]) -> LauncherSettings:
    """What the launcher takes from a Job's command line."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["thundercast-launch"]
    taken: list[LauncherSettings] = []

    def take(found: LauncherSettings) -> int:
        taken.append(found)
        return 0

    assert command.main(LauncherSettings, take, prog=PROG, about=ABOUT, argv=flags(container["args"])) == 0
    return taken[0]


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize(
    ("how", "action", "cancels"),
    [({}, "drain", False), ({"cancelAfterDrain": True}, "drain", True), ({"onUninstall": "cancel"}, "cancel", False)],
)
def test_a_hook_ends_the_job_that_the_release_has_launched(how: dict[str, Any], action: str, cancels: bool, helm: str) -> None:
    files, more = profile("dataflow")
    (hook,) = hooks(launch(**how), helm=helm)
    told = settings(hook)
    assert (told.action, told.cancel_after_drain, told.lenient) == (action, cancels, True)
    (launcher,) = (
        thing for thing in render(files, {**more, **launch(**how)}, helm=helm)
        if thing["kind"] == "Job" and thing["metadata"]["name"].startswith("tc-dataflow-") and thing["metadata"]["name"] != "tc-dataflow-stop"
    )  # fmt: skip
    launched = settings(launcher)
    assert (told.job_name, told.region, told.project) == (launched.job_name, launched.region, launched.project)
    # It is who may: the account, and the network policy, which finds pods by their labels.
    assert hook["spec"]["template"]["spec"]["serviceAccountName"] == launcher["spec"]["template"]["spec"]["serviceAccountName"]
    policy = one(render(files, more, helm=helm), "NetworkPolicy", "-dataflow")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= hook["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("how", [{}, {"cancelAfterDrain": True, "stopSeconds": 600}, {"onUninstall": "cancel", "stopSeconds": 30}])
def test_an_uninstallation_never_waits_without_end(how: dict[str, Any]) -> None:
    (hook,) = hooks(launch(**how))
    told = settings(hook)
    waits = told.stop_seconds * (2 if told.cancel_after_drain else 1)
    assert waits + 2 * told.request_seconds <= hook["spec"]["activeDeadlineSeconds"]
    assert hook["spec"]["backoffLimit"] == 0
    assert hook["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert set(hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(",")) == {"before-hook-creation", "hook-succeeded"}


def test_by_default_it_ends_within_the_time_that_helm_gives_a_hook() -> None:
    (hook,) = hooks({})
    assert hook["spec"]["activeDeadlineSeconds"] < 300
    assert "--timeout" not in notes(*profile("dataflow"))


def test_where_it_needs_longer_the_notes_say_how_much_time_to_give() -> None:
    files, more = profile("dataflow")
    said = notes(files, {**more, **launch(stopSeconds=600, cancelAfterDrain=True)})
    assert "helm uninstall -n prod tc --timeout=23m" in said
    assert "is cancelled" in said


def test_a_job_that_is_left_alone_has_no_hook_and_the_notes_say_what_it_costs() -> None:
    files, more = profile("dataflow")
    assert hooks(launch(onUninstall="leave")) == []
    said = notes(files, {**more, **launch(onUninstall="leave")})
    assert "goes on reading, publishing and costing" in said
    assert "--filter=name=tc-dataflow" in said


@pytest.mark.parametrize("case", ["local", "gke", "minimal", "beam-direct"])
def test_without_dataflow_nothing_is_stopped(case: str) -> None:
    assert hooks({}, case) == []
    assert "Dataflow job" not in notes(*profile(case))


def test_another_way_to_end_is_no_other_job() -> None:
    """The launcher's Job is named after its specification: how a job ends is not part of what it is."""
    files, more = profile("dataflow")

    def names(how: dict[str, Any]) -> set[str]:
        return {thing["metadata"]["name"] for thing in objects(text(files, {**more, **launch(**how)})) if thing["kind"] == "Job"}

    assert names({}) == names({"stopSeconds": 99})


def test_a_template_is_passed_on() -> None:
    files, more = profile("dataflow")
    how = launch(mode="flex-template", template="gs://my-bucket/launcher.json")
    arguments = [
        argument
        for thing in render(files, {**more, **how})
        if thing["kind"] == "Job"
        for argument in thing["spec"]["template"]["spec"]["containers"][0].get("args", [])
    ]
    assert "--mode=flex-template" in arguments
    assert "--template=gs://my-bucket/launcher.json" in arguments
