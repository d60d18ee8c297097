"""A stand-in for gcloud, bq, helm, kubectl and `thundercast bootstrap`: it records what it is asked, and keeps what was made.

It refuses to make a thing twice, to use what is not there, and to remove what others are in, as Google does, and it fails where a test
says so: before anything happened, after it did (a lost answer), or halfway (of what makes several things, one is made).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from gcp_setup.chosen import Choice
from gcp_setup.listing import built_images, needed_images
from gcp_setup.running import Command, Said
from thundercast.adapters.google.pubsub_making import wanted
from thundercast.domain.tables import TABLES

NUMBER = "123456789012"
Way = Literal["before", "after", "halfway"]


class Refused(Exception):
    """The stand-in says no; with its words."""


@dataclass
class Cloud:
    """One project, and one machine that it is looked at from."""

    choice: Choice
    apis: set[str] = field(default_factory=set)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By ``kind name``: what a look at it answers."""
    policies: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    images: set[tuple[str, str]] = field(default_factory=set)
    contexts: set[str] = field(default_factory=set)
    releases: dict[str, dict[str, Any]] = field(default_factory=dict)
    secret: str = ""
    """Stands in every answer, as a token could."""
    commands: list[Command] = field(default_factory=list)
    changes: list[Command] = field(default_factory=list)
    """The commands that make or remove."""
    made_twice: list[str] = field(default_factory=list)
    fail: tuple[int, Way] | None = None
    """Which of the changes fails, counted from 0, and how."""
    lost: set[str] = field(default_factory=set)
    """Programs that this machine does not have."""

    def lacks(self, program: str) -> bool:
        return program in self.lost

    def __call__(self, command: Command, *, aloud: bool = False) -> Said:
        assert isinstance(command, tuple)
        self.commands.append(command)
        try:
            return Said(0, self._answer(command), self.secret)
        except Refused as error:
            return Said(1, "", f"ERROR: {error} {self.secret}")

    # --- what is understood -------------------------------------------------------------------------------

    def _answer(self, command: Command) -> str:
        words = [word for word in command if not word.startswith("--")]
        flags = dict(word[2:].partition("=")[::2] for word in command if word.startswith("--"))
        match words:
            case ["git", *_]:
                return "0123456789abcdef0123456789abcdef01234567\n"
            case ["gcloud", "projects", "describe", name]:
                if name != self.choice.project:
                    raise Refused("PERMISSION_DENIED: it may not exist")
                return NUMBER
            case ["gcloud", "projects", "delete", _]:
                return self._change(command, lambda: self.things.clear())
            case ["gcloud", "services", "list"]:
                return json.dumps([{"config": {"name": name}} for name in sorted(self.apis)])
            case ["gcloud", "services", "enable", *names]:
                return self._change(command, lambda: self.apis.update(names), halfway=lambda: self.apis.update(names[:1]))
            case ["gcloud", *group, ("get-iam-policy" | "add-iam-policy-binding" | "remove-iam-policy-binding") as verb, name]:
                return self._policy(command, group, verb, name, flags)
            case ["gcloud", "artifacts", "docker", "images", "list", _]:
                self._api("artifactregistry")
                return json.dumps([{"package": f"{self.choice.registry}/{name}", "tags": [tag]} for name, tag in sorted(self.images)])
            case ["gcloud", "artifacts", "repositories", verb, name]:
                address = f"{flags['location']}-docker.pkg.dev/{flags['project']}/{name}"
                return self._thing(command, "artifactregistry", f"registry {address}", verb, flags)
            case ["gcloud", "iam", "service-accounts", "create", name]:
                email = f"{name}@{flags['project']}.iam.gserviceaccount.com"
                return self._make(command, "iam", f"account {email}", {"description": flags["description"]})
            case ["gcloud", "iam", "service-accounts", verb, email]:
                return self._thing(command, "iam", f"account {email}", verb, flags)
            case ["gcloud", "pubsub", ("topics" | "subscriptions") as kind, verb, name]:
                return self._thing(command, "pubsub", f"{kind[:-1]} {name}", verb, flags)
            case ["gcloud", "storage", "buckets", "describe", address]:
                return self._thing(command, "storage", f"bucket {address.removeprefix('gs://')}", "describe", flags)
            case ["gcloud", "storage", "rm", address]:
                return self._thing(command, "storage", f"bucket {address.removeprefix('gs://')}", "delete", flags)
            case ["bq", "show" | "ls" | "rm" | "query", *_] | ["bq", "rm", "-r", "-f", _]:
                return self._bq(command, words[1:], flags)
            case ["gcloud", "container", "clusters", "create-auto", name]:
                self._there(f"account {flags['service-account']}")
                made = {"resourceLabels": _labels(flags), "status": "RUNNING", "workloadIdentityConfig": {"workloadPool": "p.svc.id.goog"}}
                halfway = {**made, "status": "PROVISIONING"}
                return self._make(command, "container", f"cluster {name}", made, halfway=halfway)
            case ["gcloud", "container", "clusters", "get-credentials", name]:
                self._there(f"cluster {name}")
                return self._change(command, lambda: self.contexts.add(f"gke_{flags['project']}_{flags['region']}_{name}"))
            case ["gcloud", "container", "clusters", verb, name]:
                self._arrives(f"cluster {name}")
                return self._thing(command, "container", f"cluster {name}", verb, flags)
            case ["gcloud", "compute", "networks", "subnets", verb, name]:
                subnet = self.things.setdefault(f"subnet {name}", {"privateIpGoogleAccess": False})
                return self._change(command, lambda: subnet.update(privateIpGoogleAccess=True)) if verb == "update" else json.dumps(subnet)
            case ["gcloud", "builds", "submit", _]:
                return self._build(command, flags)
            case ["kubectl", "config", "get-contexts", name]:
                if name not in self.contexts:
                    raise Refused(f"error: context {name} not found")
                return f"{name}\n"
            case ["kubectl", "get", "deployments"]:
                return json.dumps({"items": [{"metadata": {"name": "d"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 2}}]})
            case ["kubectl", "get", "ingress" | "service", _]:
                return "203.0.113.7"
            case ["gcloud", "dataflow", "jobs", "list"]:
                self._api("dataflow")
                found = self.things.get(f"job {flags['filter'].removeprefix('name=')}")
                return json.dumps([found] if found else [])
            case [launcher, ("drain" | "cancel")] if launcher.endswith("thundercast-launch"):
                return self._change(command, lambda: self.things.pop(f"job {flags['job-name']}"))
            case ["helm", *rest]:
                return self._helm(command, rest, flags)
            case [*_, "bootstrap"]:
                return self._bootstrap(command, flags)
        raise AssertionError(f"the stand-in does not know {command}")

    # --- how it answers -----------------------------------------------------------------------------------

    def _change(self, command: Command, effect: Callable[[], Any], *, halfway: Callable[[], Any] = lambda: None) -> str:
        number = len(self.changes)
        self.changes.append(command)
        if self.fail is not None and self.fail[0] == number:
            way = self.fail[1]
            self.fail = None
            if way != "before":
                (effect if way == "after" else halfway)()
            raise Refused(f"the connection broke ({way})")
        effect()
        return ""

    def _api(self, name: str) -> None:
        if f"{name}.googleapis.com" not in self.apis:
            raise Refused(f"{name}.googleapis.com has not been used in project before or it is disabled. SERVICE_DISABLED")

    def _there(self, key: str) -> dict[str, Any]:
        if key not in self.things:
            raise Refused(f"NOT_FOUND: {key} was not found")
        return self.things[key]

    def _arrives(self, key: str) -> None:
        """What was left half made is ready at the second look."""
        found = self.things.get(key, {})
        if found.get("status") == "PROVISIONING":
            found["looks"] = found.get("looks", 0) + 1
            if found["looks"] > 1:
                found["status"] = "RUNNING"

    def _make(self, command: Command, api: str, key: str, made: dict[str, Any], *, halfway: dict[str, Any] | None = None) -> str:
        self._api(api)
        if key in self.things:
            self.made_twice.append(key)
            raise Refused(f"ALREADY_EXISTS: {key}")

        def half() -> None:
            if halfway is not None:
                self.things[key] = halfway

        return self._change(command, lambda: self.things.update({key: made}), halfway=half)

    def _thing(self, command: Command, api: str, key: str, verb: str, flags: dict[str, str]) -> str:
        if verb == "create":
            return self._make(command, api, key, {"labels": _labels(flags)})
        self._api(api)
        found = self._there(key)
        if verb == "describe":
            return json.dumps(found)
        assert verb == "delete", command

        def remove() -> None:
            del self.things[key]
            self.policies.pop(key, None)
            if key.startswith("registry "):
                self.images.clear()
            if key.startswith("cluster "):
                self.releases.clear()
                self.contexts.clear()

        return self._change(command, remove)

    def _policy(self, command: Command, group: list[str], verb: str, name: str, flags: dict[str, str]) -> str:
        kind = {
            "projects": "project",
            "topics": "topic",
            "subscriptions": "subscription",
            "buckets": "bucket",
            "service-accounts": "account",
        }
        key = f"{kind.get(group[-1], '')} {name.removeprefix('gs://')}"
        if group[-1] == "repositories":
            key = f"registry {flags['location']}-docker.pkg.dev/{flags['project']}/{name}"
        if not key.startswith("project "):
            self._there(key)
        policy = self.policies.setdefault(key, set())
        if verb == "get-iam-policy":
            return json.dumps({"bindings": [{"role": role, "members": [member]} for role, member in sorted(policy)]})
        member = flags["member"]
        email = member.removeprefix("serviceAccount:")
        if email.endswith(f"@{self.choice.project}.iam.gserviceaccount.com"):
            self._there(f"account {email}")
        elif ".svc.id.goog[" in email:
            self._there(f"cluster {self.choice.cluster}")
        else:
            assert email == f"service-{NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"
        return self._bind(command, policy, (flags["role"], member), add=verb.startswith("add"))

    def _bind(self, command: Command, policy: set[tuple[str, str]], binding: tuple[str, str], *, add: bool) -> str:
        if add and binding in policy:
            self.made_twice.append(" ".join(binding))
        if not add and binding not in policy:
            raise Refused(f"Policy binding {binding} not found!")
        return self._change(command, lambda: policy.add(binding) if add else policy.discard(binding))

    def _bq(self, command: Command, words: list[str], flags: dict[str, str]) -> str:
        self._api("bigquery")
        if words[0] == "query":
            verb, role, _, _, schema, _, member = words[1].replace("ON SCHEMA", "ON SCHEMA").split()
            key = f"dataset {schema.split('.')[1].strip('`')}"
            self._there(key)
            member = member.strip('"')
            self._there(f"account {member.removeprefix('serviceAccount:')}")
            return self._bind(command, self.policies.setdefault(key, set()), (role.strip("`"), member), add=verb == "GRANT")
        key = f"dataset {words[-1].partition(':')[2]}"
        if key not in self.things:
            raise Refused(f"BigQuery error in {words[0]} operation: Not found: Dataset {words[-1]}")
        if words[0] == "show":
            names = {"roles/bigquery.dataViewer": "READER", "roles/bigquery.dataEditor": "WRITER"}
            access = [
                {"role": names[role], "userByEmail": member.removeprefix("serviceAccount:")}
                for role, member in sorted(self.policies.get(key, ()))
            ]
            return json.dumps({**self.things[key], "access": access}, default=sorted)
        if words[0] == "ls":
            return json.dumps([{"tableReference": {"tableId": name}} for name in sorted(self.things[key]["tables"])])
        return self._thing(command, "bigquery", key, "delete", flags)

    def _bootstrap(self, command: Command, flags: dict[str, str]) -> str:
        for api in ("pubsub", "bigquery", "storage"):
            self._api(api)
        topics, subscriptions = wanted(self.choice.settings(), groups=int(flags["groups"]))
        names = [f"topic {topic.rpartition('/')[2]}" for topic in topics]
        names += [f"subscription {made.name.rpartition('/')[2]}" for made in subscriptions] + [f"bucket {self.choice.bucket}"]
        label = dict([flags["label"].split("=")])

        def make(keys: Iterable[str], tables: int) -> None:
            for key in keys:
                self.things.setdefault(key, {"labels": label})
            if tables:
                dataset = self.things.setdefault(f"dataset {flags['dataset']}", {"labels": label, "tables": set()})
                dataset.setdefault("tables", set()).update(n for t in TABLES[:tables] for n in (t.name, f"{t.name}_latest"))

        return self._change(command, lambda: make(names, len(TABLES)), halfway=lambda: make(names[:4], 0))

    def _build(self, command: Command, flags: dict[str, str]) -> str:
        self._api("cloudbuild")
        given = dict(pair.split("=") for pair in flags["substitutions"].split(","))
        registry = given["_REGISTRY"]
        self._there(f"registry {registry}")
        account = flags["service-account"].rpartition("/")[2]
        assert ("roles/artifactregistry.writer", f"serviceAccount:{account}") in self.policies[f"registry {registry}"]
        made = {(name, given["_TAG"]) for name in needed_images(self.choice)}
        assert {name for name, _ in made} <= set(built_images())
        # Images are pushed one after the other.
        return self._change(command, lambda: self.images.update(made), halfway=lambda: self.images.add(min(made)))

    def _helm(self, command: Command, words: list[str], flags: dict[str, str]) -> str:
        if words[:2] == ["dependency", "build"]:
            return self._change(command, lambda: None)
        verb, name = words[0], words[1]
        if flags["kube-context"] not in self.contexts:
            raise Refused(f'Kubernetes cluster unreachable: context "{flags["kube-context"]}" does not exist')
        key = f"{flags['namespace']}/{name}"
        if verb == "upgrade":
            sets = dict(word.partition("=")[2].partition("=")[::2] for word in command if word.startswith(("--set=", "--set-string=")))
            config = {"global": {"labels": {"thundercast": sets["global.labels.thundercast"]}}}
            if key in self.releases and self.releases[key]["info"]["status"].startswith("pending-"):
                raise Refused("another operation (install/upgrade/rollback) is in progress")
            release = {"info": {"status": "deployed", "description": flags["description"]}, "config": config}
            pending = {"info": {"status": "pending-install"}, "config": config}
            if key in self.releases and self.releases[key] == release:
                self.made_twice.append(key)

            def install() -> None:
                self.releases[key] = release
                if self.choice.on_dataflow:  # the launcher makes it
                    self.things[f"job {self.choice.job}"] = {"name": self.choice.job, "state": "Running"}

            return self._change(command, install, halfway=lambda: self.releases.update({key: pending}))
        if key not in self.releases:
            raise Refused("release: not found")
        if verb == "status":
            return json.dumps(self.releases[key])
        if verb == "test":
            return ""
        assert verb in ("uninstall", "rollback"), command
        return self._change(command, lambda: self.releases.pop(key))

    def __deepcopy__(self, memo: dict[int, Any]) -> Cloud:
        """Another project in the same state, of the same choice."""
        state = {name: value if name == "choice" else copy.deepcopy(value, memo) for name, value in vars(self).items()}
        return type(self)(**state)

    def everything(self) -> dict[str, Any]:
        """All that is there, to compare."""
        return {
            "apis": self.apis, "things": self.things, "policies": {key: policy for key, policy in self.policies.items() if policy},
            "images": self.images, "contexts": self.contexts, "releases": self.releases,
        }  # fmt: skip


def _labels(flags: dict[str, str]) -> dict[str, str]:
    return dict(pair.split("=") for pair in flags["labels"].split(","))
