"""Everything there is to make, in the order in which it is made; it is removed in the opposite one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import yaml

from gcp_setup import making
from gcp_setup.chosen import CHART, IMAGES, LABEL, ROOT, Choice
from gcp_setup.roles import Grant, grants_of_identities, grants_of_parts, grants_of_platform, grants_of_service_agent
from gcp_setup.things import ABSENT, OURS, Found, Thing, labelled

_WAITS: Final = "20m"
"""So long Helm waits for the parts to be ready: on Autopilot the first node has to come first."""


def grants(choice: Choice) -> list[Grant]:
    """Every role that is granted."""
    given = [*grants_of_parts(choice), *grants_of_platform(choice), *grants_of_service_agent(choice)]
    given += [] if choice.on_cloud_run else grants_of_identities(choice)
    if choice.own_registry:
        return given
    # Images come from elsewhere: nothing is built, and whoever keeps them lets the nodes pull.
    return [grant for grant in given if grant.at != "registry" and grant.account != choice.account("build")]


def things(choice: Choice, number: str = "PROJECT_NUMBER") -> list[Thing]:
    """The whole list.

    Args:
        number: the project's number, once it is known.
    """
    identities = [] if choice.on_cloud_run else grants_of_identities(choice)
    before = [given for given in grants(choice) if given not in identities]
    return [
        making.apis(choice),
        *making.accounts(choice),
        *making.met_at(choice),
        *making.registry(choice),
        *(making.grant(choice, given, number) for given in before),
        *making.private_access(choice),
        *([] if choice.on_cloud_run else [cluster(choice)]),
        # The pool of identities that they name is there once the cluster is.
        *(making.grant(choice, given, number) for given in identities),
        *images(choice),
        *([] if choice.on_cloud_run else [credentials(choice), release(choice)]),
        *([job(choice)] if choice.on_dataflow and not choice.on_cloud_run else []),
    ]


def cluster(choice: Choice) -> Thing:
    """GKE Autopilot, its nodes with an account of their own."""
    at = (choice.cluster, f"--region={choice.region}", f"--project={choice.project}")
    ours = labelled(choice.release)

    def read(answer: Any) -> Found:
        found = ours({"labels": answer.get("resourceLabels")})
        match answer["status"]:
            case "RUNNING" | "RECONCILING":
                pool = (answer.get("workloadIdentityConfig") or {}).get("workloadPool")
                if not pool:
                    return Found("differs", "it has no Workload Identity: enable it, or name another with --cluster")
                return found
            case "PROVISIONING":
                return Found("coming", "it is being made")
            case status:
                return Found("differs", f"its status is {status}: `gcloud container clusters describe {' '.join(at)}` says why")

    return Thing(
        kind="cluster", name=choice.cluster, read=read, slow=True,
        look=("gcloud", "container", "clusters", "describe", *at, "--format=json"),
        make=((
            "gcloud", "container", "clusters", "create-auto", *at, f"--service-account={choice.account('nodes')}",
            f"--labels={LABEL}={choice.release}", "--release-channel=regular",
        ),),
        unmake=("gcloud", "container", "clusters", "delete", *at), about=f"GKE Autopilot in {choice.region}",
        cost="a fee per hour, and the CPU and memory that the pods ask for; the largest part, also while nothing flows",
        holds="everything else that runs in it",
    )  # fmt: skip


def needed_images(choice: Choice) -> list[str]:
    """Names of the project's images that the values' pods need, without the registry."""
    values = choice.values
    wants = {getattr(values, part).image.repository for part in choice.running()}
    if values.dataflow.enabled:
        wants.add(values.dataflow.direct_image.repository)
        wants -= set() if choice.on_dataflow else {values.dataflow.image.repository}
    if values.check.enabled and values.trainer.enabled:
        wants.add(values.check.image.repository)
    return sorted(name for name in wants if name.startswith(f"{IMAGES}/"))


def built_images() -> list[str]:
    """Names of the images that cloudbuild.yaml builds."""
    config = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    return sorted(f"{IMAGES}/{image.rpartition('/')[2].partition(':')[0]}" for image in config["images"])


def images(choice: Choice) -> list[Thing]:
    """The images under their tag, built on Cloud Build; none if the registry is somebody else's."""
    if choice.own_registry is None:
        return []
    wants = needed_images(choice)

    def read(answer: Any) -> Found:
        there = set()
        for image in answer or ():
            tags = image.get("tags") or []
            if choice.tag in (tags.replace(" ", "").split(",") if isinstance(tags, str) else tags):
                there.add(unquote(image["package"]).removeprefix(f"{choice.registry.rstrip('/')}/"))
        missing = [name for name in wants if name not in there]
        return Found("absent", f"not there with the tag {choice.tag}: {', '.join(missing)}") if missing else OURS

    project, registry = f"--project={choice.project}", choice.registry.rstrip("/")
    substitutions = f"_REGISTRY={registry},_TAG={choice.tag}" + (f",_REVISION={choice.revision}" if choice.revision else "")
    return [
        Thing(
            kind="images", name=f"{registry}/{IMAGES}/*:{choice.tag}", read=read, within=f"registry {choice.registry}", slow=True,
            look=(
                "gcloud", "artifacts", "docker", "images", "list", registry, project, "--include-tags",
                "--format=json",
            ),
            make=((
                "gcloud", "builds", "submit", str(ROOT), f"--config={ROOT / 'cloudbuild.yaml'}", f"--substitutions={substitutions}",
                f"--service-account=projects/{choice.project}/serviceAccounts/{choice.account('build')}",
                f"--gcs-source-staging-dir=gs://{choice.bucket}/builds", project,
            ),),
            about=", ".join(name.removeprefix(f"{IMAGES}/") for name in wants), cost="Cloud Build, per minute of an E2_HIGHCPU_8",
            stays="they stay with their registry",
        )
    ]  # fmt: skip


def credentials(choice: Choice) -> Thing:
    """The cluster in the kubeconfig of whoever runs this; every later command names it, whichever is current."""
    return Thing(
        kind="context", name=choice.context, look=("kubectl", "config", "get-contexts", choice.context, "--output=name"),
        read=lambda _: OURS, within=f"cluster {choice.cluster}", always=True,
        about="in your kubeconfig, and current there", cost="nothing",
        stays="it is in your kubeconfig",
        make=((
            "gcloud", "container", "clusters", "get-credentials", choice.cluster,
            f"--region={choice.region}", f"--project={choice.project}",
        ),),
    )  # fmt: skip


def release(choice: Choice) -> Thing:
    """The parts, by Helm."""
    at = (choice.release, f"--namespace={choice.namespace}", f"--kube-context={choice.context}")
    says = f"set up by scripts/gcp, {fingerprint(choice)}"

    def read(answer: Any) -> Found:
        info = answer["info"]
        if info["status"].startswith("pending-"):
            return Found("stuck", info["status"])
        if info["status"] == "uninstalled":
            return ABSENT
        if not _labelled(answer, choice):
            return Found("foreign", "a release of that name was installed otherwise; name another with --release or --namespace")
        if info["status"] == "deployed" and info.get("description") == says:
            return OURS
        return Found("differs", f"{info['status']}; chart, values or images are newer")

    upgrade = [
        "helm", "upgrade", *at, str(CHART), "--install", "--create-namespace", *(f"--values={file}" for file in choice.files),
        *(f"--set{'' if text in ('true', 'false') else '-string'}={key}={text}" for key, text in choice.sets.items()),
        "--wait", f"--timeout={_WAITS}", f"--description={says}",
    ]  # fmt: skip
    return Thing(
        kind="release", name=f"{choice.release} in {choice.namespace}", look=("helm", "status", *at, "--output=json"), read=read,
        make=(("helm", "dependency", "build", str(CHART)), tuple(upgrade)), slow=True, within=f"cluster {choice.cluster}",
        unmake=("helm", "uninstall", *at, "--wait", f"--timeout={_WAITS}"),
        stuck={
            "pending-install": ("helm", "uninstall", *at, "--wait"), "pending-upgrade": ("helm", "rollback", *at, "--wait"),
            "pending-rollback": ("helm", "rollback", *at, "--wait"),
        },
        about=", ".join(choice.running()),
        cost="see the cluster" + (", and Dataflow per vCPU, GB and hour" if choice.on_dataflow else ""),
    )  # fmt: skip


_DRAINS: Final = 1800
"""Seconds that a job may take to end once it is told to."""


def job(choice: Choice) -> Thing:
    """The cleaner's Dataflow job, which the release's launcher makes. It ends before the release goes, and before what it reads."""
    ends = "cancel" if choice.values.dataflow.launch.on_uninstall == "cancel" else "drain"

    def read(answer: Any) -> Found:
        return Found("ours", str(answer[0]["state"])) if answer else ABSENT

    return Thing(
        kind="job", name=choice.job, read=read, within=f"release {choice.release} in {choice.namespace}", slow=True,
        look=(
            "gcloud", "dataflow", "jobs", "list", f"--region={choice.region}", f"--project={choice.project}", "--status=active",
            f"--filter=name={choice.job}", "--format=json",
        ),
        unmake=(
            str(ROOT / making.LAUNCH), ends, f"--project={choice.project}", f"--region={choice.region}", f"--job-name={choice.job}",
            f"--stop-seconds={_DRAINS}",
        ),
        comes=f"the release's launcher makes it; `kubectl get pods --namespace={choice.namespace} "
        "--selector=app.kubernetes.io/component=dataflow` says how far it is",
        about="on Dataflow", cost="see the release", holds="" if ends == "drain" else "what it has read and not yet written",
    )  # fmt: skip


def _labelled(answer: Any, choice: Choice) -> bool:
    labels = ((answer.get("config") or {}).get("global") or {}).get("labels") or {}
    return bool(labels.get(LABEL) == choice.release)


def fingerprint(choice: Choice) -> str:
    """Twelve digits of everything that Helm is given: another chart, file or setting is another release."""
    digest = hashlib.sha256()
    charts = [path for path in sorted(CHART.parent.rglob("*")) if path.is_file() and not {"charts", "Chart.lock"} & set(_below(path))]
    for path in [*charts, *choice.files]:
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    digest.update(repr(sorted(choice.sets.items())).encode())
    return digest.hexdigest()[:12]


def _below(path: Path) -> tuple[str, ...]:
    """The parts of a path within its chart."""
    return tuple(path.relative_to(CHART.parent).parts[1:])
