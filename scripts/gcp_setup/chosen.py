"""What the user asked for: flags and values files, and what follows from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from chart_values.umbrella import Thundercast
from thundercast.adapters import places
from thundercast.adapters.settings import CloudSettings

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "thundercast"
PROFILE: Final = CHART / "values-gke.yaml"
ON_CLOUD_RUN: Final = CHART / "values-cloudrun.yaml"
PARTS: Final = ("simulator", "cleaner", "trainer", "dashboard", "dataflow")
"""Parts whose pods act as a Google service account."""
LABEL: Final = "thundercast"
"""What is made bears this label with the release's name as its value."""
IMAGES: Final = "thundercast"
"""Folder of the images below the registry, as the values have it."""
_OTHER_ACCOUNTS: Final = ("dataflow-worker", "nodes", "build")


class BadChoice(ValueError):
    """The flags or values cannot be used; says which, why, and the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Everything that decides what there is to make.

    Attributes:
        files: values files in the order in which Helm takes them.
        sets: what is set beside them, by key.
        values: all of it together, with the charts' defaults.
        tag: of the images.
        revision: the commit they are built from, or empty.
    """

    project: str
    region: str
    release: str
    namespace: str
    cluster: str
    tag: str
    revision: str
    files: tuple[Path, ...]
    sets: Mapping[str, str]
    values: Thundercast

    @property
    def registry(self) -> str:
        return self.values.global_.image.registry

    @property
    def own_registry(self) -> tuple[str, str] | None:
        """Location and name of the repository that images are built into; None if they come from elsewhere."""
        found = re.fullmatch(rf"([a-z0-9-]+)-docker\.pkg\.dev/{re.escape(self.project)}/([a-z0-9-]+)", self.registry.rstrip("/"))
        return (found[1], found[2]) if found else None

    @property
    def bucket(self) -> str:
        """Name of the bucket that has the checkpoints."""
        place = places.parse(self.values.global_.checkpoints.place)
        assert isinstance(place, places.Bucket)  # noqa: S101 - `choose` has refused all others
        return place.name

    @property
    def on_dataflow(self) -> bool:
        return self.values.dataflow.enabled and self.values.dataflow.runner == "DataflowRunner"

    @property
    def job(self) -> str:
        """Name of the cleaner's Dataflow job, as the chart has it."""
        return self.values.dataflow.launch.job_name or f"{self.release[:42].rstrip('-')}-dataflow"

    @property
    def on_cloud_run(self) -> bool:
        """Whether the parts run there: then there is no cluster, and the parts themselves are handed over by scripts/cloudrun."""
        return self.values.global_.platform == "cloudrun"

    @property
    def from_bigquery(self) -> bool:
        return str(getattr(self.values.simulator.settings, "source", "")).startswith("bigquery:")

    @property
    def context(self) -> str:
        """The cluster's name in kubeconfig, as `get-credentials` writes it."""
        return f"gke_{self.project}_{self.region}_{self.cluster}"

    def settings(self) -> CloudSettings:
        """As `thundercast bootstrap` takes them."""
        shared = self.values.global_
        return CloudSettings(
            project=self.project, location=shared.location, raw_topic=shared.pubsub.raw_topic,
            raw_subscription=shared.pubsub.raw_subscription, clean_topic=shared.pubsub.clean_topic,
            clean_subscription=shared.pubsub.clean_subscription, dead_letter_topic=shared.pubsub.dead_letter_topic,
            dead_letter_subscription=shared.pubsub.dead_letter_subscription, dataset=shared.dataset, checkpoints=shared.checkpoints.place,
        )  # fmt: skip

    def account(self, name: str) -> str:
        """E-mail of the service account that is made for a part, or for ``nodes``, ``build``, ``dataflow-worker``."""
        return f"{self.release}-{name}@{self.project}.iam.gserviceaccount.com"

    def running(self) -> list[str]:
        """The parts that the values enable and that need Google's services."""
        runs = {
            "simulator": self.values.simulator.enabled,
            "cleaner": self.values.cleaner.enabled and self.values.cleaner.runner == "worker",
            "trainer": self.values.trainer.enabled,
            "dashboard": self.values.dashboard.enabled,
            "dataflow": self.values.dataflow.enabled,
        }
        return [part for part in PARTS if runs[part]]


def choose(
    *, project: str, region: str, release: str, namespace: str, cluster: str = "", tag: str, revision: str = "", host: str = "",
    files: Sequence[Path] = (),
) -> Choice:  # fmt: skip
    """What follows from the flags and the user's values files, laid over values-gke.yaml, or over values-cloudrun.yaml if they say so.

    Raises:
        BadChoice: something in them cannot be used.
    """
    _check("--project", project, r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "the id of a project, of 6 to 30 small letters, digits and dashes")
    _check("--region", region, r"[a-z]+-[a-z]+[0-9]+", "a region, such as us-central1")
    # Together with the longest suffix it is the id of an account, of 30 characters at most.
    longest = 30 - 1 - max(map(len, (*PARTS, *_OTHER_ACCOUNTS)))
    _check("--release", release, rf"[a-z]([a-z0-9-]{{0,{longest - 2}}}[a-z0-9])?", f"{longest} small letters, digits and dashes at most")
    _check("--namespace", namespace, r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "the name of a namespace")
    _check("--tag", tag, r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", "the tag of an image")
    own: dict[str, Any] = {}
    for file in files:
        own = merged(own, _read(file))
    profile = ON_CLOUD_RUN if (own.get("global") or {}).get("platform") == "cloudrun" else PROFILE
    every = (profile, *(file.resolve() for file in files if file.resolve() != profile))
    given = merged(_read(profile), own)
    sets = _sets(given, project=project, region=region, release=release, tag=tag, host=host)
    for key, text in sets.items():
        given = merged(given, _nested(key, text))
    return Choice(
        project=project, region=region, release=release, namespace=namespace, cluster=cluster or release, tag=tag, revision=revision,
        files=every, sets=sets, values=_typed(given),
    )  # fmt: skip


def _check(flag: str, text: str, form: str, what: str) -> None:
    if not re.fullmatch(form, text):
        raise BadChoice(f"{flag} {text!r} is not {what}")


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text())
    except OSError as error:
        raise BadChoice(f"--values {file} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadChoice(f"--values {file} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict | None):
        raise BadChoice(f"--values {file} holds no mapping, but values of charts/thundercast are one: docs/values.md")
    return found or {}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Helm lays them over each other: mappings key by key, anything else whole; null takes a key away."""
    made = dict(below)
    for key, value in above.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(made.get(key), Mapping):
            made[key] = merged(made[key], value)
        else:
            made[key] = value
    return made


def _nested(key: str, text: str) -> dict[str, Any]:
    value: Any = {"true": True, "false": False}.get(text, text)
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _typed(given: Mapping[str, Any]) -> Thundercast:
    try:
        return Thundercast.model_validate(given)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors(include_url=False)]
        raise BadChoice("the values cannot be used (docs/values.md has them all):\n  " + "\n  ".join(lines)) from error


def _sets(given: Mapping[str, Any], *, project: str, region: str, release: str, tag: str, host: str) -> dict[str, str]:
    """What is set beside the files: what follows from the flags, and what the files leave open."""
    values = _typed(given)
    shared = values.global_
    if shared.project not in ("", project):
        raise BadChoice(f"--project is {project}, but the values say global.project={shared.project}: take one of them away")
    if shared.emulators.enabled:
        raise BadChoice("global.emulators.enabled=true needs nothing of Google's: there is nothing to set up. Take it out of the values")
    if shared.checkpoints.volume.enabled:
        raise BadChoice("global.checkpoints.volume.enabled=true: scripts/gcp keeps checkpoints in Cloud Storage. Take it out of the values")
    sets = {
        "global.project": project,
        f"global.labels.{LABEL}": release,
        "global.image.tag": tag,
        # `scripts/gcp up` makes what it would make: no account in the cluster needs the rights to.
        "bootstrap.enabled": "false",
    }
    if not shared.image.registry:
        sets["global.image.registry"] = f"{region}-docker.pkg.dev/{project}/{release}"
    place = shared.checkpoints.place or f"gs://{project}-{release}/checkpoints"
    try:
        places.parse(place)
    except places.BadPlace as error:
        raise BadChoice(f"global.checkpoints.place: {error}") from error
    if not shared.checkpoints.place:
        sets["global.checkpoints.place"] = place
    for part in PARTS:
        if not getattr(values, part).service_account.google_service_account:
            sets[f"{part}.serviceAccount.googleServiceAccount"] = f"{release}-{part}@{project}.iam.gserviceaccount.com"
    if host:
        sets["dashboard.host"] = host
    elif values.dashboard.exposure in ("ingress", "gateway") and not values.dashboard.host:
        # Without a name there is no certificate and no login: seen from the own machine only.
        sets |= {"dashboard.exposure": "clusterIP", "dashboard.iap.enabled": "false", "dashboard.ingress.managedCertificate": "false"}
    launch = given.get("dataflow", {}).get("launch", {})
    if values.dataflow.enabled:
        bucket = place.removeprefix("gs://").partition("/")[0]
        own = {"region": region, "tempLocation": f"gs://{bucket}/dataflow"}
        own["workerServiceAccount"] = f"{release}-dataflow-worker@{project}.iam.gserviceaccount.com"
        sets |= {f"dataflow.launch.{key}": text for key, text in own.items() if not launch.get(key)}
    return sets
