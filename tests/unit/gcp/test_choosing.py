"""Flags and values files: what follows from them, and what is refused with a way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gcp_setup import listing
from gcp_setup.chosen import merged
from gcp_setup.roles import grants_of_identities, grants_of_platform, grants_of_service_agent, table
from gcp_setup.running import shown, without_secrets
from unit.gcp.scene import DATAFLOW, a_choice, listed


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"project": "x"}, "--project 'x' is not the id of a project"),
        ({"project": "My-Project"}, "--project 'My-Project' is not"),
        ({"region": "europe"}, "--region 'europe' is not a region, such as us-central1"),
        ({"release": "thundercast-of-mine"}, "--release 'thundercast-of-mine' is not 14 small letters"),
        ({"namespace": "a_b"}, "--namespace 'a_b' is not"),
        ({"tag": "a b"}, "--tag 'a b' is not the tag of an image"),
        ({"files": [Path("/nowhere/own.yaml")]}, "--values /nowhere/own.yaml cannot be read: No such file"),
    ],
)
def test_flags_that_cannot_be_used_are_named(flags: dict[str, Any], says: str) -> None:
    from gcp_setup.chosen import BadChoice, choose

    given: dict[str, Any] = {"project": "my-project", "region": "europe-west1", "release": "tc", "namespace": "weather", "tag": "v1"}
    with pytest.raises(BadChoice, match=re.escape(says)):
        choose(**(given | flags))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"global": {"project": "another"}}, "--project is my-project, but the values say global.project=another"),
        ({"global": {"emulators": {"enabled": True}}}, "global.emulators.enabled=true needs nothing of Google's"),
        ({"global": {"checkpoints": {"volume": {"enabled": True}}}}, "Take it out of the values"),
        ({"global": {"checkpoints": {"place": "/data"}}}, "global.checkpoints.place: String should match pattern"),
        ({"global": {"checkpoints": {"place": "gs://-"}}}, "global.checkpoints.place: "),
        ({"trainer": {"replica": 2}}, "trainer.replica: Extra inputs are not permitted"),
        ({"global": {"groups": "many"}}, "global.groups: "),
    ],
)
def test_values_that_cannot_be_used_are_named(values: dict[str, Any], says: str, tmp_path: Path) -> None:
    from gcp_setup.chosen import BadChoice

    with pytest.raises(BadChoice, match=re.escape(says)):
        a_choice(tmp_path, values)


@pytest.mark.parametrize(("text", "says"), [("- a", "holds no mapping"), ("a: [", "is not YAML")])
def test_a_file_that_holds_no_values_is_named(text: str, says: str, tmp_path: Path) -> None:
    from gcp_setup.chosen import BadChoice, choose

    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(BadChoice, match=says):
        choose(project="my-project", region="us-east1", release="tc", namespace="weather", tag="v1", files=[own])


def test_values_are_laid_over_each_other_as_helm_does() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert merged(below, {"a": {"c": [3], "e": None, "b": None}, "d": {"f": 5}}) == {"a": {"c": [3]}, "d": {"f": 5}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 4}


def test_without_a_name_the_dashboard_is_open_to_nobody() -> None:
    closed, open_ = a_choice().values.dashboard, a_choice(host="thunder.example.org").values.dashboard
    assert (closed.exposure, closed.iap.enabled, closed.host) == ("clusterIP", False, "")
    assert (open_.exposure, open_.iap.enabled, open_.host) == ("ingress", True, "thunder.example.org")


def test_the_users_values_win(tmp_path: Path) -> None:
    own = {
        "global": {"checkpoints": {"place": "gs://mine/deep"}, "location": "EU", "image": {"registry": "ghcr.io/somebody"}},
        "dataflow": {"launch": {"region": "us-east4", "tempLocation": "gs://other/tmp", "workerServiceAccount": "w@elsewhere.iam.gserviceaccount.com"}},
        "trainer": {"serviceAccount": {"googleServiceAccount": "t@elsewhere.iam.gserviceaccount.com"}},
    } | {"cleaner": DATAFLOW["cleaner"]}  # fmt: skip
    own["dataflow"]["enabled"] = True
    choice = a_choice(tmp_path, own)
    assert choice.bucket == "mine"
    assert choice.values.dataflow.launch.region == "us-east4"
    kinds = {thing.kind for thing in listed(choice)}
    assert "images" not in kinds and "registry" not in kinds, "images come from elsewhere"  # noqa: PT018
    assert not any("elsewhere" in thing.name for thing in listed(choice) if thing.kind == "account")
    assert any(grant.account == "t@elsewhere.iam.gserviceaccount.com" for grant in listing.grants(choice))


def test_another_chart_file_or_setting_is_another_release(tmp_path: Path) -> None:
    prints = [
        listing.fingerprint(a_choice(tmp_path, values, tag=tag))
        for values, tag in [({}, "v1"), ({}, "v2"), ({"trainer": {"replicas": 3}}, "v1")]
    ]
    assert len(set(prints)) == 3
    assert listing.fingerprint(a_choice(tmp_path, {}, tag="v1")) == prints[0]


def test_neither_nodes_nor_builds_use_the_projects_default_account() -> None:
    things = {thing.kind: thing for thing in listed(a_choice())}
    assert "--service-account=tc-nodes@my-project.iam.gserviceaccount.com" in things["cluster"].make[0]
    assert "--service-account=projects/my-project/serviceAccounts/tc-build@my-project.iam.gserviceaccount.com" in things["images"].make[0]
    everything = " ".join(shown(command) for thing in listed(a_choice()) for command in thing.make)
    assert not re.search(r"roles/(owner|editor|viewer)\b|-compute@developer|roles/\w+\.admin\b", everything)


def test_pubsubs_own_account_may_move_messages_to_the_dead_letters() -> None:
    given = {(grant.role, grant.at, grant.name) for grant in grants_of_service_agent(a_choice())}
    assert given == {
        ("roles/pubsub.publisher", "topic", "noaa-dead-letter"), ("roles/pubsub.subscriber", "subscription", "noaa-clean-for-ml-trainer")
    }  # fmt: skip


def test_each_part_acts_as_its_own_account() -> None:
    given = grants_of_identities(a_choice())
    assert {grant.named for grant in given} == {
        f"serviceAccount:my-project.svc.id.goog[weather/tc-{part}]" for part in ("simulator", "cleaner", "trainer", "dashboard")
    }
    assert len({grant.name for grant in given}) == 4


def test_the_table_has_a_row_for_each_role() -> None:
    rows = table(grants_of_platform(a_choice()))
    assert rows[0].split() == [
        "tc-nodes@my-project.iam.gserviceaccount.com",
        "roles/container.defaultNodeServiceAccount",
        "on",
        "project",
        "my-project",
    ]
    assert len({row.index(" on ") for row in rows}) == 1


def test_images_that_are_needed_are_those_of_the_parts_that_run(tmp_path: Path) -> None:
    assert listing.needed_images(a_choice()) == [
        f"thundercast/{name}" for name in ("cleaner", "dashboard", "simulator", "standalone", "trainer")
    ]
    with_dataflow = listing.needed_images(a_choice(tmp_path, DATAFLOW))
    assert {"thundercast/dataflow", "thundercast/launcher"} <= set(with_dataflow)
    assert "thundercast/cleaner" not in with_dataflow


@pytest.mark.parametrize(
    "secret",
    ["ya29.a0AfH6SMC-x_y.z", "AIzaSyD-0123456789abcdefghijkl", "GOCSPX-abc_def", "eyJhbGciOi.eyJpc3Mi.c2ln",
     "-----BEGIN PRIVATE KEY-----\nMIIE\nvQIB\n-----END PRIVATE KEY-----"],
)  # fmt: skip
def test_tokens_and_keys_are_taken_out_of_what_programs_say(secret: str) -> None:
    assert without_secrets(f"before {secret} after") == "before [secret] after"
    assert without_secrets("Authorization: Bearer abc.def") == "Authorization: Bearer [secret]"


@pytest.mark.parametrize("word", ["a b", "it's", "$HOME", "--flag=a b", "--flag=it's `x`", "serviceAccount:p.svc.id.goog[n/s]", ""])
def test_commands_are_shown_as_a_shell_takes_them(word: str) -> None:
    import shlex

    assert shlex.split(shown(("gcloud", word))) == ["gcloud", word]
