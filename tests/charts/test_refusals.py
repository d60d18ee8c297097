"""Values that cannot go together end the rendering, with the key and the way out."""

from __future__ import annotations

from typing import Any

import pytest

from charts.rendering import HELMS, Refused, profile, render

PLACE = {"place": ""}
VOLUME = {"enabled": True}


def launched(**how: Any) -> dict[str, Any]:
    """Values of a job on Dataflow that are right but for what is said."""
    launch = {"tempLocation": "gs://b/d", "workerServiceAccount": "w@p.iam.gserviceaccount.com", **how}
    return {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True, "launch": launch}}


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    # what is wrong: values, the key that is named, a word of the way out
    "no registry": ({"global": {"image": {"registry": ""}}}, "global.image.registry", "scripts/build-images --push"),
    "no project": ({"global": {"project": ""}}, "global.project", "values-local.yaml"),
    "no checkpoints": ({"global": {"checkpoints": PLACE}}, "global.checkpoints", "volume.enabled=true"),
    "two places": ({"global": {"checkpoints": {"volume": VOLUME}}, "trainer": {"replicas": 1}}, "global.checkpoints.place", "empty it"),
    "a volume without a claim": (
        {"global": {"checkpoints": {**PLACE, "volume": VOLUME}}, "trainer": {"enabled": False}},
        "global.checkpoints.volume.existingClaim", "name a claim",
    ),
    "dataflow that is off": ({"cleaner": {"runner": "dataflow"}}, "dataflow.enabled", "dataflow.runner=DataflowRunner"),
    "two cleaners": ({"dataflow": {"enabled": True}}, "cleaner.runner", "dataflow.enabled=false"),
    "another runner": (
        {"cleaner": {"runner": "beam-direct"}, "dataflow": {"enabled": True}}, "dataflow.runner", "dataflow.runner=DirectRunner",
    ),
    "dataflow with stand-ins": (
        {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}, "global": {"emulators": {"enabled": True}}},
        "cleaner.runner", "beam-direct",
    ),
    "dataflow with a volume": (
        {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}, "trainer": {"replicas": 1},
         "global": {"checkpoints": {**PLACE, "volume": VOLUME}}},
        "global.checkpoints.volume.enabled", "place=gs://",
    ),
    "groups for beam": (
        {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}, "global": {"groups": 2}}, "global.groups", "global.groups=1",
    ),
    "an impatient trainer": ({"trainer": {"settings": {"gapTimeout": 1000}}}, "trainer.settings.gapTimeout", "cleaner.settings.gapTimeout"),
    "managed monitoring of stand-ins": (
        {"global": {"emulators": {"enabled": True}}, "monitoring": {"kind": "managed"}}, "monitoring.kind", "operator",
    ),
    "trainers that share a disk": (
        {"global": {"checkpoints": {**PLACE, "volume": VOLUME}}}, "trainer.replicas", "ReadWriteMany",
    ),
    "trainers that share a lock file": (
        {"global": {"lock": "checkpoints", "checkpoints": {**PLACE, "volume": {**VOLUME, "accessModes": ["ReadWriteMany"]}}}},
        "global.lock", "global.lock=lease",
    ),
    "a trainer that is scaled": ({"trainer": {"autoscaling": {"enabled": True}}}, "trainer.autoscaling.enabled", "trainer.replicas"),
    "pushing to two": (
        {"trainer": {"mode": "push", "push": {"audience": "a", "serviceAccount": "b"}}}, "trainer.mode", "trainer.replicas=1",
    ),
    "pushing by whom": ({"trainer": {"mode": "push", "replicas": 1}}, "trainer.push", "trainer.push.auth=none"),
    "no time for a checkpoint": (
        {"trainer": {"terminationGracePeriodSeconds": 10}}, "trainer.terminationGracePeriodSeconds", "trainer.settings.checkpointSeconds",
    ),
    "checkpoints that contradict each other": (
        {"cleaner": {"settings": {"checkpointMin": 20}}}, "cleaner.settings.checkpointMin", "cleaner.settings.checkpointSeconds",
    ),
    "too few unacked": ({"cleaner": {"settings": {"unacked": 10}}}, "cleaner.settings.unacked", "cleaner.settings.window"),
    "a gap that is too short": ({"cleaner": {"settings": {"gapTimeout": 30}}}, "cleaner.settings.gapTimeout", "ackDeadline"),
    "a login without a door": ({"dashboard": {"iap": {"enabled": True}}}, "dashboard.iap.enabled", "ingress or gateway"),
    "a door without a name": ({"dashboard": {"exposure": "ingress"}}, "dashboard.host", "thunder.example.org"),
    "a route without a gateway": (
        {"dashboard": {"exposure": "gateway", "host": "a.example.org"}}, "dashboard.gateway.name", "this chart makes none",
    ),
    "half of a client": (
        {"dashboard": {"exposure": "gateway", "host": "a.example.org", "gateway": {"name": "g"}, "iap": {"enabled": True, "clientId": "x"}}},
        "dashboard.iap.clientId", "leave both empty",
    ),
    "the whole internet": ({"dashboard": {"exposure": "loadBalancer"}}, "dashboard.loadBalancer.sourceRanges", "loadBalancer.public=true"),
    "cookies of many kinds": ({"dashboard": {"cookieSecret": {"create": False}}}, "dashboard.cookieSecret", "existingSecret"),
    "nothing to scale by": ({"dashboard": {"autoscaling": {"kind": "keda"}}}, "dashboard.autoscaling.triggers", "kind=hpa"),
    "more at least than at most": (
        {"dashboard": {"autoscaling": {"kind": "hpa", "minReplicas": 9}}}, "dashboard.autoscaling.maxReplicas", "raise it",
    ),
    "two certificates": (
        {"dashboard": {"exposure": "ingress", "host": "a.example.org", "ingress": {"managedCertificate": True, "tlsSecret": "x"}}},
        "dashboard.ingress.tlsSecret", "managedCertificate=false",
    ),
    "an alert that is none": (
        {"monitoring": {"kind": "operator", "alerts": {"disabled": ["ThundercastNothing"]}}}, "monitoring.alerts.disabled", "there are",
    ),
    "dataflow without a place": (
        {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}}, "dataflow.launch.tempLocation", "gs://",
    ),
    "workers without an account": (
        {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True, "launch": {"tempLocation": "gs://b/d"}}},
        "dataflow.launch.workerServiceAccount", "iam.gserviceaccount.com",
    ),
    "a template that is not named": (launched(mode="flex-template"), "dataflow.launch.template", "gs://BUCKET/OBJECT"),
    "a template that is not used": (launched(template="gs://b/t.json"), "dataflow.launch.mode", "mode=flex-template"),
    "a drain that is none": (
        launched(onUninstall="cancel", cancelAfterDrain=True), "dataflow.launch.cancelAfterDrain", "onUninstall=drain",
    ),
}  # fmt: skip


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_go_together_is_refused_with_the_key_and_the_way_out(what: str, helm: str) -> None:
    values, key, way_out = WRONG[what]
    files, _ = profile("minimal")
    with pytest.raises(Refused) as refused:
        render(files, values, helm=helm)
    message = str(refused.value)
    assert f"{key}:" in message, message
    assert way_out in message, message
