"""The profile for Cloud Run: only what Cloud Run takes, as its API's document has it, and the same programs as on a cluster."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import discovery
from charts.monitoring_chart import Refused
from charts.rendering import CLOUD_RUN, HELMS, notes, one, pods, profile, render, run
from charts.rendering import built as chart_of

DATAFLOW = {
    "cleaner": {"runner": "dataflow"},
    "dataflow": {
        "enabled": True,
        "serviceAccount": CLOUD_RUN["dataflow"]["serviceAccount"],
        "launch": {
            "region": "europe-west1",
            "tempLocation": "gs://my-bucket/dataflow",
            "workerServiceAccount": "w@my-project.iam.gserviceaccount.com",
        },
    },
}
PUSH = {
    "trainer": {
        "mode": "push",
        "push": {"audience": "https://trainer.example.org", "serviceAccount": "pusher@my-project.iam.gserviceaccount.com"},
    }
}
CASES: dict[str, dict[str, Any]] = {"plain": {}, "dataflow": DATAFLOW, "push": PUSH, "groups": {"global": {"groups": 3}}}
KINDS = {
    ("serving.knative.dev/v1", "Service"): "Service",
    ("run.googleapis.com/v1", "Job"): "Job",
    ("run.googleapis.com/v1", "WorkerPool"): "WorkerPool",
}
Things = list[dict[str, Any]]


def merged(*maps: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for one_map in maps:
        for key, value in one_map.items():
            out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else copy.deepcopy(value)
    return out


def rendered(values: dict[str, Any] | None = None, helm: str = "helm") -> Things:
    files, more = profile("cloudrun")
    return render(files, merged(dict(more), values or {}), helm=helm)


@pytest.fixture(scope="module", params=[(case, helm) for case in CASES for helm in HELMS], ids=lambda param: "-".join(param))
def things(request: pytest.FixtureRequest) -> Things:
    case, helm = request.param
    return rendered(CASES[case], helm)


def containers(thing: dict[str, Any]) -> list[dict[str, Any]]:
    spec = thing["spec"]["template"]["spec"]
    found: list[dict[str, Any]] = (spec["template"]["spec"] if thing["kind"] == "Job" else spec)["containers"]
    return found


# --- what Cloud Run takes ---------------------------------------------------------------------------------


def test_there_is_nothing_but_services_jobs_and_worker_pools(things: Things) -> None:
    assert things
    assert {(thing["apiVersion"], thing["kind"]) for thing in things} <= set(KINDS)
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in things]
    assert len(names) == len(set(names))


def as_json(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The value as the API has it in JSON: 64-bit numbers are text there, and gcloud takes either."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    if schema.get("format") == "int64" and isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return {key: as_json(item, inner.get(key, {}), schemas) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item, schema.get("items", {}), schemas) for item in value]
    return value


def check(thing: dict[str, Any]) -> None:
    schema, schemas = KINDS[thing["apiVersion"], thing["kind"]], discovery.document(discovery.CLOUD_RUN)["schemas"]
    discovery.check(schema, as_json(thing, schemas[schema], schemas), api=discovery.CLOUD_RUN)


def test_every_field_is_one_of_the_apis_document(things: Things) -> None:
    for thing in things:
        check(thing)


def test_a_field_that_is_none_would_be_seen() -> None:
    pool = one(rendered(), "WorkerPool", "-trainer")
    pool["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(discovery.Violation, match="resource"):
        check(pool)


BEYOND = {
    "run.googleapis.com/iap-enabled": {"Service"},  # cloud.google.com/run/docs/securing/identity-aware-proxy-cloud-run
}
"""Annotations that the guides have and the document's list does not."""
OF_POOLS = {"run.googleapis.com/scalingMode", "run.googleapis.com/manualInstanceCount"}
"""Listed for Services; of WorkerPools by cloud.google.com/run/docs/configuring/workerpools/manual-scaling."""


def listed() -> dict[str, set[str]]:
    """The annotations that the API's document lists, and of which resources they may be."""
    text = discovery.document(discovery.CLOUD_RUN)["schemas"]["ObjectMeta"]["properties"]["annotations"]["description"]
    found = {
        name: {kind.strip(" .") for kind in kinds.split(",")} for name, kinds in re.findall(r"`([a-z.]+/[\w-]+)`: ([A-Za-z, ]+)", text)
    }
    assert len(found) > 30
    for name in OF_POOLS:
        found[name].add("WorkerPool")
    return found | BEYOND


def annotated(thing: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each annotation with the resource that it is of."""
    for name in thing["metadata"].get("annotations", {}):
        yield thing["kind"], name
    for name in thing["spec"]["template"].get("metadata", {}).get("annotations", {}):
        yield ("Execution" if thing["kind"] == "Job" else "Revision"), name


def test_every_annotation_is_one_that_is_taken_there(things: Things) -> None:
    known = listed()
    for thing in things:
        for resource, name in annotated(thing):
            assert resource in known.get(name, set()), f"{name} on a {resource} of {thing['metadata']['name']}"
        for value in thing["metadata"].get("annotations", {}).values():
            assert isinstance(value, str)


def test_labels_and_names_are_legal_for_google(things: Things) -> None:
    for thing in things:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?", thing["metadata"]["name"])
        for labels in (thing["metadata"]["labels"], thing["spec"]["template"]["metadata"]["labels"]):
            assert {"app", "component", "release"} <= set(labels)
            for key, value in labels.items():
                assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key)
                assert re.fullmatch(r"[a-z0-9_-]{0,63}", value)


def test_a_users_labels_are_made_legal() -> None:
    things = rendered({"global": {"labels": {"Team/Name": "Weather Office"}}})
    assert all(thing["metadata"]["labels"]["team-name"] == "weather-office" for thing in things)


def test_times_and_sizes_are_within_cloud_runs_bounds(things: Things) -> None:
    for thing in things:
        for container in containers(thing):
            limits = container["resources"]["limits"]
            cpu, size = float(limits["cpu"]), re.fullmatch(r"(\d+)(Mi|Gi)", limits["memory"])
            assert size
            memory = int(size[1]) / (1024 if size[2] == "Mi" else 1)  # GiB
            assert cpu in (1, 2, 4, 6, 8)
            assert 0.5 <= memory <= {1: 4, 2: 8, 4: 16, 6: 24, 8: 32}[int(cpu)]
            for probe in (container[name] for name in ("startupProbe", "livenessProbe") if name in container):
                assert probe["timeoutSeconds"] <= probe["periodSeconds"] <= 240
            if "startupProbe" in container:
                assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] <= 240
            names = [item["name"] for item in container["env"]]
            assert names == sorted(set(names))
            assert not {"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"} & set(names), "Cloud Run's own"
        if thing["kind"] == "Service":
            spec = thing["spec"]["template"]["spec"]
            assert spec["timeoutSeconds"] <= 3600
            assert 1 <= spec["containerConcurrency"] <= 1000
        if thing["kind"] == "Job":
            assert thing["spec"]["template"]["spec"]["template"]["spec"]["timeoutSeconds"] <= 7 * 86400


# --- who may do what --------------------------------------------------------------------------------------


def test_every_part_has_an_account_of_its_own(things: Things) -> None:
    for thing in things:
        spec = thing["spec"]["template"]["spec"]
        account = (spec["template"]["spec"] if thing["kind"] == "Job" else spec)["serviceAccountName"]
        assert account == f"tc-{thing['metadata']['labels']['component']}@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("access", "annotation"),
    [("iap", "run.googleapis.com/iap-enabled"), ("invokers", ""), ("public", "run.googleapis.com/invoker-iam-disabled")],
)
def test_nobody_is_let_in_without_a_login_unless_a_value_says_so(access: str, annotation: str) -> None:
    found = one(rendered({"dashboard": {"cloudRun": {"access": access}}}), "Service", "-dashboard")["metadata"]["annotations"]
    doors = {"run.googleapis.com/iap-enabled", "run.googleapis.com/invoker-iam-disabled"}
    assert set(found) & doors == ({annotation} if annotation else set())


def test_the_notes_warn_of_what_is_open_and_say_what_is_not_there() -> None:
    files, more = profile("cloudrun")
    closed = notes(files, more)
    assert "whole internet" not in closed
    assert "only the table weather_data.status" in closed
    assert "whole internet" in notes(files, merged(dict(more), {"dashboard": {"cloudRun": {"access": "public"}}}))
    assert "kubectl" not in closed
    assert "tc-trainer@my-project.iam.gserviceaccount.com roles/pubsub.subscriber" in re.sub(" +", " ", closed)


def test_a_trainer_that_is_pushed_to_is_closed_to_all_but_invokers() -> None:
    service = one(rendered(PUSH), "Service", "-trainer")
    assert "run.googleapis.com/invoker-iam-disabled" not in service["metadata"]["annotations"]
    assert json.loads(service["metadata"]["annotations"]["run.googleapis.com/custom-audiences"]) == [PUSH["trainer"]["push"]["audience"]]  # type: ignore[index]
    env = {item["name"]: item.get("value") for item in containers(service)[0]["env"]}
    assert env["THUNDERCAST_PUSH_AUTH"] == "oidc"
    template = service["spec"]["template"]["metadata"]["annotations"]
    assert (template["autoscaling.knative.dev/minScale"], template["autoscaling.knative.dev/maxScale"]) == ("1", "1")


# --- how they run -----------------------------------------------------------------------------------------


def test_exactly_one_trainer_learns_under_a_lock_beside_its_checkpoints() -> None:
    pool = one(rendered(), "WorkerPool", "-trainer")
    assert pool["metadata"]["annotations"]["run.googleapis.com/manualInstanceCount"] == "1"
    env = {item["name"]: item.get("value") for item in containers(pool)[0]["env"]}
    assert env["THUNDERCAST_CHECKPOINTS"] == "gs://my-bucket/thundercast"
    assert "THUNDERCAST_LOCK" not in env, "beside the checkpoints, an object of Cloud Storage"


def test_each_group_of_shards_has_a_worker_pool() -> None:
    pools = [thing for thing in rendered(CASES["groups"]) if thing["kind"] == "WorkerPool" and "-cleaner" in thing["metadata"]["name"]]
    assert [pool["metadata"]["name"] for pool in pools] == ["tc-cleaner-0", "tc-cleaner-1", "tc-cleaner-2"]


def test_services_have_their_cpu_all_the_time(things: Things) -> None:
    for thing in things:
        if thing["kind"] == "Service":
            assert thing["spec"]["template"]["metadata"]["annotations"]["run.googleapis.com/cpu-throttling"] == "false"


@pytest.mark.parametrize("helm", HELMS)
def test_it_lints_strictly(helm: str) -> None:
    files, more = profile("cloudrun")
    run(
        helm,
        "lint",
        "--strict",
        chart_of(helm),
        *[word for file in files for word in ("--values", file)],
        "--values",
        "-",
        text=json.dumps(more),
    )


DIFFERENT = {
    "simulator": {
        "THUNDERCAST_CACHE": "/tmp is all that can be written to",
        "THUNDERCAST_SPEED": "nobody can ask a WorkerPool how far it is, so the pace is given",
    },
    "cleaner": {"THUNDERCAST_LOCK": "there are no Leases"},
    "trainer": {"THUNDERCAST_LOCK": "there are no Leases"},
    "dashboard": {"STREAMLIT_SERVER_COOKIE_SECRET": "one instance needs none, and no Secret of a cluster can be named"},
}
"""Variables that differ from those on GKE, each with its reason."""


@pytest.mark.parametrize("case", ["plain", "dataflow"])
def test_image_arguments_and_variables_are_those_on_gke(case: str) -> None:
    files, more = profile("gke")
    bootstrap = {"bootstrap": {"enabled": True}}
    cluster = {
        name.split("/")[1]: pod["containers"][0]
        for name, pod in pods(render(files, merged(dict(more), CASES[case], bootstrap))).items()
        if name.split("/")[0] in ("Deployment", "Job") and not name.endswith("-stop")
    }
    compared = set()
    for thing in rendered(merged(CASES[case], bootstrap)):
        name = thing["metadata"]["name"]
        part = thing["metadata"]["labels"]["component"]
        (there,) = [pod for known, pod in cluster.items() if re.fullmatch(rf"{name}(-[0-9a-f]{{8}})?", known)]
        (here,) = containers(thing)
        assert [here.get(key) for key in ("image", "command", "args")] == [there.get(key) for key in ("image", "command", "args")]
        env = [{item["name"]: item for item in side["env"]} for side in (here, there)]
        differing = {key for key in env[0].keys() | env[1].keys() if env[0].get(key) != env[1].get(key)}
        assert differing == set(DIFFERENT.get(part, {})), part
        compared.add(part)
    assert compared == {"bootstrap", "simulator", "trainer", "dashboard", "cleaner" if case == "plain" else "dataflow"}


# --- what cannot be there ---------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "stand-ins": ({"global": {"emulators": {"enabled": True}}}, "global.emulators.enabled", "global.platform=kubernetes"),
    "a lease": ({"global": {"lock": "lease"}}, "global.lock", "global.lock=checkpoints"),
    "a volume": ({"global": {"checkpoints": {"place": "", "volume": {"enabled": True}}}}, "global.checkpoints.volume.enabled", "gs://BUCKET"),
    "a pipeline that forgets": (
        {"cleaner": {"runner": "beam-direct"}, "dataflow": {"enabled": True, "runner": "DirectRunner"}}, "cleaner.runner", "worker or dataflow",
    ),
    "what scrapes": ({"monitoring": {"kind": "managed"}}, "monitoring.kind", "status"),
    "dashboards": ({"monitoring": {"dashboards": {"enabled": True}}}, "monitoring.dashboards.enabled", "false"),
    "helm test": ({"check": {"enabled": True}}, "check.enabled", "false"),
    "objects": ({"extraObjects": [{"kind": "ConfigMap"}]}, "extraObjects", "empty"),
    "a way into a cluster": ({"dashboard": {"exposure": "clusterIP"}}, "dashboard.exposure", "dashboard.cloudRun.access"),
    "an autoscaler": ({"dashboard": {"autoscaling": {"kind": "hpa"}, "cookieSecret": {"existingSecret": "cookies"}}}, "dashboard.autoscaling.kind", "maxInstances"),
    "cookies of many kinds": ({"dashboard": {"cloudRun": {"maxInstances": 3}}}, "dashboard.cookieSecret.existingSecret", "Secret Manager"),
    "no account": ({"trainer": {"serviceAccount": {"googleServiceAccount": ""}}}, "trainer.serviceAccount.googleServiceAccount", "NAME@PROJECT"),
    "a node": ({"cleaner": {"nodeSelector": {"disk": "ssd"}}}, "cleaner.nodeSelector", "leave it empty"),
    "volumes of a pod": ({"trainer": {"extraVolumes": [{"name": "x", "emptyDir": {}}]}}, "trainer.extraVolumes", "leave it empty"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_there_is_not_on_cloud_run_is_refused_with_the_key_and_the_way_out(what: str) -> None:
    values, key, way_out = WRONG[what]
    with pytest.raises(Refused) as refused:
        rendered(values)
    assert f"{key}:" in str(refused.value)
    assert way_out in str(refused.value)
