"""plan, up, verify and down against the stand-in: nothing is made twice, nothing is removed that was not made."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from gcp_setup.doing import Going
from gcp_setup.running import Said
from gcp_setup.things import Failed
from unit.gcp.cloud import Cloud, Way
from unit.gcp.scene import DATAFLOW, a_choice, going

CASES: dict[str, dict[str, Any]] = {"workers": {}, "groups": {"global": {"groups": 3}}, "dataflow": DATAFLOW}


def a_cloud(case: str, folder: Path) -> Cloud:
    return Cloud(a_choice(folder, CASES[case]))


@pytest.mark.parametrize("case", CASES)
def test_plan_is_what_up_does_in_an_empty_project(case: str, tmp_path: Path) -> None:
    cloud = a_cloud(case, tmp_path)
    offline = [command for _, _, commands in going(cloud).would(offline=True) for command in commands]
    assert cloud.commands == []
    looked = [command for _, _, commands in going(cloud).would() for command in commands]
    assert cloud.changes == []
    going(cloud).up()
    assert looked == offline == cloud.changes
    assert len(set(offline)) == len(offline) > 40


@pytest.mark.parametrize("case", CASES)
def test_a_second_up_makes_nothing(case: str, tmp_path: Path) -> None:
    cloud = a_cloud(case, tmp_path)
    going(cloud).up()
    before, changed = copy.deepcopy(cloud.everything()), len(cloud.changes)
    lines: list[str] = []
    going(cloud, lines).up()
    # These look for themselves: `thundercast bootstrap` may have columns to add, and the cluster another address.
    assert [command[-1] if "get-credentials" in command else "tables" for command in cloud.changes[changed:]] == [
        "tables",
        "--project=my-project",
    ]
    assert cloud.everything() == before
    assert cloud.made_twice == []
    assert sum(line.startswith("there") for line in lines) == len(going(cloud).things) - 2


@pytest.mark.parametrize("way", ["before", "after", "halfway"])
@pytest.mark.parametrize("case", CASES)
def test_after_a_failure_at_any_step_a_second_up_completes_and_makes_nothing_twice(case: str, way: Way, tmp_path: Path) -> None:
    whole = a_cloud(case, tmp_path)
    going(whole).up()
    for step in range(len(whole.changes)):
        cloud = Cloud(whole.choice, fail=(step, way))
        with pytest.raises(Failed, match="Way out: "):
            going(cloud).up()
        assert len(cloud.changes) == step + 1, "it went on after the failure"
        going(cloud).up()
        assert cloud.made_twice == []
        for thing in cloud.things.values():
            thing.pop("looks", None)
        assert cloud.everything() == whole.everything(), whole.changes[step]


def test_a_cluster_that_somebody_is_making_is_waited_for() -> None:
    cloud = Cloud(a_choice())
    going(cloud).up()
    cloud.things["cluster tc"]["status"] = "PROVISIONING"
    lines: list[str] = []
    going(cloud, lines).up()
    assert any(line.startswith("waiting") and "cluster tc" in line for line in lines)
    assert cloud.made_twice == []


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"status": "ERROR"}, "its status is ERROR: `gcloud container clusters describe tc"),
        ({"status": "RUNNING", "workloadIdentityConfig": {}}, "no Workload Identity: enable it, or name another with --cluster"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_named_with_a_way_out(state: dict[str, Any], says: str) -> None:
    cloud = Cloud(a_choice())
    going(cloud).up()
    cloud.things["cluster tc"].update(state)
    with pytest.raises(Failed, match=says):
        going(cloud).up()
    lines: list[str] = []
    assert "cluster tc" in going(cloud, lines).verify()


def test_what_google_does_not_know_everywhere_yet_is_waited_for() -> None:
    class Late(Cloud):
        """A new account is unknown to the first three commands that name it."""

        unknown: int = 3

        def __call__(self, command: tuple[str, ...], *, aloud: bool = False) -> Said:
            if "add-iam-policy-binding" in command and self.unknown:
                self.unknown -= 1
                return Said(
                    1, "", "ERROR: INVALID_ARGUMENT: Service account tc-simulator@my-project.iam.gserviceaccount.com does not exist."
                )
            return super().__call__(command, aloud=aloud)

    cloud = Late(a_choice())
    lines: list[str] = []
    going(cloud, lines).up()
    assert sum(line.startswith("waiting") for line in lines) == 3
    assert going(cloud).verify() == []


def test_a_permission_that_is_missing_is_no_absence() -> None:
    class Closed(Cloud):
        """Buckets may not be looked at."""

        def __call__(self, command: tuple[str, ...], *, aloud: bool = False) -> Said:
            if command[:4] == ("gcloud", "storage", "buckets", "describe"):
                return Said(1, "", "ERROR: HTTPError 403: me@example.org does not have storage.buckets.get access. (or it may not exist)")
            return super().__call__(command, aloud=aloud)

    cloud = Closed(a_choice())
    with pytest.raises(Failed, match=r"bucket my-project-tc may not be looked at .*403.* Way out: "):
        going(cloud).up()


# --- verify -----------------------------------------------------------------------------------------------


def test_verify_finds_everything_right_after_up_and_changes_nothing() -> None:
    cloud = Cloud(a_choice())
    going(cloud).up()
    changes = list(cloud.changes)
    lines: list[str] = []
    assert going(cloud, lines).verify() == []
    assert cloud.changes == changes
    assert {line.split()[0] for line in lines} == {"right"}


def test_verify_names_each_thing_that_was_taken_away_and_what_mends_it(tmp_path: Path) -> None:
    whole = a_cloud("dataflow", tmp_path)
    going(whole).up()
    for thing in going(whole).things:
        cloud = copy.deepcopy(whole)
        _take_away(cloud, thing.key)
        lines: list[str] = []
        assert thing.key in going(cloud, lines).verify()
        if thing.comes:
            assert any(line.startswith(f"wrong     {thing.key}: ") and thing.comes in line for line in lines), thing.key
            continue
        assert any(line.startswith(f"wrong     {thing.key}: ") and "`scripts/gcp up`" in line for line in lines), thing.key
        going(cloud).up()
        assert going(cloud).verify() == [], thing.key


def _take_away(cloud: Cloud, key: str) -> None:
    """By other hands than ours."""
    kind, _, name = key.partition(" ")
    match kind:
        case "APIs":
            cloud.apis.discard("pubsub.googleapis.com")
        case "tables":
            cloud.things["dataset weather_data"]["tables"].discard("gaps_latest")
        case "role":
            role, _, rest = name.partition(" on ")
            email = rest.rpartition(" for ")[2]
            place = rest.rpartition(" for ")[0].replace("gs://", "")
            cloud.policies[place].discard((role, f"serviceAccount:{email}"))
        case "images":
            cloud.images.pop()
        case "context":
            cloud.contexts.clear()
        case "release":
            cloud.releases.clear()
        case "private":
            cloud.things["subnet default"]["privateIpGoogleAccess"] = False
        case _:
            del cloud.things[key]
            cloud.policies.pop(key, None)


# --- down -------------------------------------------------------------------------------------------------


def remove(cloud: Cloud, **how: Any) -> tuple[list[str], list[str]]:
    way: Going = going(cloud)
    way.reach_cluster()
    gone, stay = way.going(**how)
    way.down(gone)
    return [thing.key for thing in gone], stay


@pytest.mark.parametrize("case", CASES)
def test_down_removes_what_up_made_and_says_what_stays(case: str, tmp_path: Path) -> None:
    cloud = a_cloud(case, tmp_path)
    going(cloud).up()
    _, stay = remove(cloud)
    left = cloud.everything()
    assert {key for key in left["things"] if not key.startswith("subnet")} == set()
    assert (left["policies"], left["images"], left["releases"]) == ({}, set(), {})
    assert [line.partition(":")[0] for line in stay] == ["private Google access of subnet default"] * (case == "dataflow") + [
        "APIs of project my-project"
    ]
    assert remove(cloud)[0] == []


def test_down_goes_from_the_release_to_the_accounts(tmp_path: Path) -> None:
    cloud = a_cloud("dataflow", tmp_path)
    going(cloud).up()
    gone, _ = remove(cloud)
    kinds = list(dict.fromkeys(key.partition(" ")[0] for key in gone))
    # A job that is drained while its subscription is there loses nothing. A release out of a cluster that is gone would leave its load balancer; a role of an account that is gone cannot be taken back.
    assert kinds == ["job", "release", "cluster", "role", "registry", "dataset", "bucket", "subscription", "topic", "account"]


def test_down_never_touches_what_up_did_not_make(tmp_path: Path) -> None:
    cloud = a_cloud("workers", tmp_path)
    theirs = {
        "topic noaa-raw": {"labels": {}}, "subscription noaa-raw-cleaner": {}, "bucket my-project-tc": {"labels": {"team": "weather"}},
        "dataset weather_data": {"labels": {"thundercast": "another"}, "tables": set()},
        "account tc-trainer@my-project.iam.gserviceaccount.com": {"description": "ours since 2019"},
        "cluster tc": {"status": "RUNNING", "workloadIdentityConfig": {"workloadPool": "x"}, "resourceLabels": {}},
    }  # fmt: skip
    cloud.things.update(copy.deepcopy(theirs))
    going(cloud).up()
    gone, stay = remove(cloud)
    assert set(cloud.things) == set(theirs)
    assert not set(gone) & set(theirs)
    for key in theirs:
        assert any(line.startswith(f"{key}: scripts/gcp did not make it") for line in stay), key
    # What was granted to accounts of ours is taken back there, and nothing else.
    assert {member for policy in cloud.policies.values() for _, member in policy} == {
        "serviceAccount:tc-trainer@my-project.iam.gserviceaccount.com"
    }
    assert cloud.releases == {}


def test_down_keeps_the_data_if_told_so() -> None:
    cloud = Cloud(a_choice())
    going(cloud).up()
    _, stay = remove(cloud, keep_data=True)
    assert set(cloud.things) == {"bucket my-project-tc", "dataset weather_data"}
    assert cloud.things["dataset weather_data"]["tables"]
    assert sum("--keep-data" in line for line in stay) == 2
    assert cloud.everything()["policies"] == {}


def test_down_goes_on_after_a_failure_at_any_step(tmp_path: Path) -> None:
    whole = a_cloud("dataflow", tmp_path)
    going(whole).up()
    reference = copy.deepcopy(whole)
    reference.changes.clear()
    remove(reference)
    for step in range(1, len(reference.changes)):  # the first only has Helm know the cluster
        for way in ("before", "after"):
            cloud = copy.deepcopy(whole)
            cloud.changes.clear()
            cloud.fail = (step, way)
            if way == "before":
                with pytest.raises(Failed, match="Way out: .*down` again"):
                    remove(cloud)
                remove(cloud)
            else:  # it is gone, whatever the answer was
                remove(cloud)
            assert cloud.everything() == reference.everything(), (way, reference.changes[step])


def test_down_from_another_machine_takes_the_release_out_too() -> None:
    cloud = Cloud(a_choice())
    going(cloud).up()
    cloud.contexts.clear()
    gone, _ = remove(cloud)
    assert gone[0] == "release tc in weather"


def test_a_job_that_the_launcher_has_not_made_yet_is_left_to_it(tmp_path: Path) -> None:
    class Slow(Cloud):
        """The launcher has not come so far."""

        def __call__(self, command: tuple[str, ...], *, aloud: bool = False) -> Said:
            said = super().__call__(command, aloud=aloud)
            self.things.pop("job tc-dataflow", None)
            return said

    cloud = Slow(a_choice(tmp_path, DATAFLOW))
    lines: list[str] = []
    going(cloud, lines).up()
    assert lines[-1].startswith("later     job tc-dataflow: the release's launcher makes it; `kubectl get pods --namespace=weather")
    assert going(cloud).verify() == ["job tc-dataflow"]
    assert "job tc-dataflow" not in remove(cloud)[0]


@pytest.mark.parametrize(("wish", "asked"), [("drain", "drain"), ("leave", "drain"), ("cancel", "cancel")])
def test_a_job_is_told_to_drain_unless_cancelling_is_wished_for(wish: str, asked: str, tmp_path: Path) -> None:
    values = DATAFLOW | {"dataflow": {"enabled": True, "launch": {"onUninstall": wish, "jobName": "cleaner-7"}}}
    cloud = Cloud(a_choice(tmp_path, values))
    going(cloud).up()
    before = len(cloud.changes)
    assert remove(cloud)[0][0] == "job cleaner-7"
    (told,) = [command for command in cloud.changes[before:] if command[0].endswith("thundercast-launch")]
    assert told[1:5] == (asked, "--project=my-project", "--region=europe-west1", "--job-name=cleaner-7")


def test_a_job_of_a_release_that_was_installed_otherwise_is_left_alone(tmp_path: Path) -> None:
    cloud = a_cloud("dataflow", tmp_path)
    going(cloud).up()
    cloud.releases["weather/tc"] = {"info": {"status": "deployed", "description": "Install complete"}, "config": None}
    gone, stay = remove(cloud)
    assert "job tc-dataflow" not in gone
    assert any(line == "job tc-dataflow: scripts/gcp did not install its release" for line in stay)


def test_a_release_that_was_installed_otherwise_is_left_alone() -> None:
    cloud = Cloud(a_choice())
    going(cloud).up()
    cloud.releases["weather/tc"] = {"info": {"status": "deployed", "description": "Install complete"}, "config": None}
    with pytest.raises(Failed, match="release tc in weather: a release of that name was installed otherwise"):
        going(cloud).up()
    gone, stay = remove(cloud)
    assert "release tc in weather" not in gone
    assert any(line.startswith("release tc in weather: scripts/gcp did not make it") for line in stay)
