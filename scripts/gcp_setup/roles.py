"""Who may do what: the parts' roles are those of the chart's one list, at the things that the values name."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import yaml
from pydantic.alias_generators import to_snake

from gcp_setup.chosen import CHART, Choice
from thundercast.adapters.google.bootstrap import grants as service_agent_commands
from thundercast.adapters.google.pubsub_topics import group_subscription

Place = Literal["project", "topic", "subscription", "bucket", "dataset", "registry", "account"]
AGENT: Final = "service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com"
"""Pub/Sub's own account; the number is known once the project is looked at."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role of an account at a thing.

    Attributes:
        account: e-mail.
        name: of the thing; the project's id, the registry's address, the account's e-mail.
        member: as a policy names it, if not ``serviceAccount:`` and the e-mail.
    """

    account: str
    role: str
    at: Place
    name: str
    member: str = ""

    @property
    def named(self) -> str:
        """The account as a policy has it."""
        return self.member or f"serviceAccount:{self.account}"


def worker(choice: Choice) -> str:
    """E-mail of the account of Dataflow's workers."""
    return choice.values.dataflow.launch.worker_service_account


def grants_of_parts(choice: Choice) -> list[Grant]:
    """The roles of the parts that run, from charts/thundercast/files/roles.yaml."""
    roles: dict[str, list[dict[str, Any]]] = yaml.safe_load((CHART / "files" / "roles.yaml").read_text())
    conditions = {
        "bigquerySource": choice.from_bigquery,
        "worker": choice.values.cleaner.runner == "worker",
        "dataflow": choice.on_dataflow,
        "beamDirect": not choice.on_dataflow,
    }
    made = []
    for part in [*choice.running(), *(["dataflowWorker"] if choice.on_dataflow else [])]:
        account = worker(choice) if part == "dataflowWorker" else account_of(choice, part)
        for role in roles[part]:
            if conditions[role["when"]] if "when" in role else True:
                made += [Grant(account, role["role"], at, name) for at, name in _where(choice, role)]
    return made


def account_of(choice: Choice, part: str) -> str:
    """E-mail of the account that a part's pods act as."""
    return str(getattr(choice.values, part).service_account.google_service_account)


def _where(choice: Choice, role: dict[str, Any]) -> list[tuple[Place, str]]:
    shared = choice.values.global_
    match role["at"]:
        case "topic":
            return [("topic", getattr(shared.pubsub, to_snake(role["name"])))]
        case "subscription":
            name = getattr(shared.pubsub, to_snake(role["name"]))
            groups = shared.groups if role["name"] == "rawSubscription" else 1
            return [("subscription", group_subscription(name, group, groups)) for group in range(groups)]
        case "workerAccount":
            return [("account", worker(choice))]
        case "project":
            return [("project", choice.project)]
        case "bucket":
            return [("bucket", choice.bucket)]
        case "dataset":
            return [("dataset", shared.dataset)]
        case "registry":
            return [("registry", choice.registry)]
        case other:
            raise KeyError(f"charts/thundercast/files/roles.yaml: at: {other} is not known here")


def grants_of_platform(choice: Choice) -> list[Grant]:
    """What the cluster's nodes and the builds may do, so that neither needs the project's default account."""
    nodes, build = choice.account("nodes"), choice.account("build")
    of_nodes = [
        Grant(nodes, "roles/container.defaultNodeServiceAccount", "project", choice.project),
        Grant(nodes, "roles/artifactregistry.reader", "registry", choice.registry),
    ]
    return [
        *([] if choice.on_cloud_run else of_nodes),
        Grant(build, "roles/logging.logWriter", "project", choice.project),
        Grant(build, "roles/artifactregistry.writer", "registry", choice.registry),
        # Sources are uploaded beside the checkpoints, into builds/.
        Grant(build, "roles/storage.objectViewer", "bucket", choice.bucket),
    ]


def grants_of_service_agent(choice: Choice) -> list[Grant]:
    """What lets Pub/Sub itself move messages to the dead letters, from the commands that `thundercast bootstrap` prints."""
    made = []
    for line in service_agent_commands(choice.settings()):
        words = shlex.split(line)
        if words[:2] != ["gcloud", "pubsub"]:
            continue
        role = next(word.removeprefix("--role=") for word in words if word.startswith("--role="))
        at: Place = "topic" if words[2] == "topics" else "subscription"
        made.append(Grant(AGENT, role, at, words[4]))
    return made


def grants_of_identities(choice: Choice) -> list[Grant]:
    """What lets the parts' Kubernetes accounts act as Google's (Workload Identity); there once the cluster is."""
    made = []
    for part in choice.running():
        account = getattr(choice.values, part).service_account
        name = account.name or (f"{choice.release}-{part}" if account.create else "default")
        member = f"serviceAccount:{choice.project}.svc.id.goog[{choice.namespace}/{name}]"
        made.append(Grant(f"{choice.namespace}/{name}", "roles/iam.workloadIdentityUser", "account", account_of(choice, part), member))
    return made


def table(grants: Sequence[Grant]) -> list[str]:
    """A line for each, in columns: account, role, thing."""
    rows = [(grant.account, grant.role, where(grant)) for grant in grants]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"{account:<{widths[0]}}  {role:<{widths[1]}}  on {place}" for account, role, place in rows]


def where(grant: Grant) -> str:
    """The thing with its kind."""
    return f"bucket gs://{grant.name}" if grant.at == "bucket" else f"{grant.at} {grant.name}"
