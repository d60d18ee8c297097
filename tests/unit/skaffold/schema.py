"""The part of Skaffold's schema that `skaffold.yaml` uses, strictly: another key, or one of another type, is refused.

Written after the schema that the project publishes, https://skaffold.dev/docs/references/yaml/ (v4beta13). Skaffold itself is not part of the tests.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Docker(Strict):
    dockerfile: str = "Dockerfile"
    target: str = ""
    buildArgs: dict[str, str] = {}


class DockerfileDependency(Strict):
    path: str


class Dependencies(Strict):
    dockerfile: DockerfileDependency


class Custom(Strict):
    buildCommand: str
    dependencies: Dependencies


class SyncRule(Strict):
    src: str
    dest: str
    strip: str = ""


class Sync(Strict):
    manual: list[SyncRule]


class Needed(Strict):
    image: str
    alias: str = ""


class Artifact(Strict):
    image: str
    context: str = "."
    docker: Docker | None = None
    custom: Custom | None = None
    sync: Sync | None = None
    requires: list[Needed] = []

    @model_validator(mode="after")
    def _one_way_to_build(self) -> Artifact:
        assert (self.docker is None) != (self.custom is None), f"{self.image}: exactly one of docker, custom"
        return self


class GitTagger(Strict):
    variant: Literal["Tags", "CommitSha", "AbbrevCommitSha", "TreeSha", "AbbrevTreeSha"] = "Tags"
    prefix: str = ""


class TagPolicy(Strict):
    gitCommit: GitTagger


class Local(Strict):
    push: bool | None = None
    useBuildkit: bool | None = None
    concurrency: int = 1


class Build(Strict):
    artifacts: list[Artifact] = []
    tagPolicy: TagPolicy | None = None
    local: Local | None = None


class Release(Strict):
    name: str
    chartPath: str
    valuesFiles: list[str] = []
    setValueTemplates: dict[str, str] = {}


class Helm(Strict):
    releases: Annotated[list[Release], Field(min_length=1)]


class CloudRun(Strict):
    projectid: str = ""
    region: str = ""


class Manifests(Strict):
    helm: Helm


class Deploy(Strict):
    helm: Helm | None = None
    cloudrun: CloudRun | None = None
    statusCheckDeadlineSeconds: int = 600


class PortForward(Strict):
    resourceType: Literal["service", "pod", "deployment"]
    resourceName: str
    port: int
    localPort: int


class VerifyContainer(Strict):
    name: str
    image: str
    command: list[str] = []
    args: list[str] = []


class KubernetesCluster(Strict):
    jobManifestPath: str


class ExecutionMode(Strict):
    kubernetesCluster: KubernetesCluster


class Verify(Strict):
    name: str
    timeout: int
    container: VerifyContainer
    executionMode: ExecutionMode


class Patch(Strict):
    op: Literal["add", "remove", "replace"]
    path: Annotated[str, Field(pattern=r"^/")]
    value: Any = None


class Activation(Strict):
    kubeContext: str


class Profile(Strict):
    name: str
    activation: list[Activation] = []
    build: dict[str, Any] = {}
    patches: list[Patch] = []


class Metadata(Strict):
    name: str


class Requirement(Strict):
    configs: list[str]


class Config(Strict):
    apiVersion: Literal["skaffold/v4beta13"]
    kind: Literal["Config"]
    metadata: Metadata
    requires: list[Requirement] = []
    build: Build = Build()
    manifests: Manifests | None = None
    deploy: Deploy | None = None
    portForward: list[PortForward] = []
    verify: list[Verify] = []
    profiles: list[Profile] = []

    @property
    def release(self) -> Release:
        """The release that is installed, or rendered for Cloud Run."""
        assert self.deploy is not None
        helm = self.deploy.helm or (self.manifests and self.manifests.helm)
        assert helm, "nothing is rendered"
        (release,) = helm.releases
        return release


def modules(text: str, *profiles: str) -> dict[str, Config]:
    """The modules of a file by name, with profiles applied in the order given.

    Raises:
        pydantic.ValidationError: something is not as Skaffold would have it.
        LookupError: a patch changes what is not there.
        AssertionError: no module has the profile.
    """
    found = {}
    raw = list(yaml.safe_load_all(text))
    known = {profile["name"] for module in raw for profile in module.get("profiles", [])}
    assert set(profiles) <= known, f"there are {sorted(known)}"
    for module in raw:
        changed = copy.deepcopy(module)
        for name in profiles:
            for profile in module.get("profiles", []):
                if profile["name"] == name:
                    _apply(changed, profile)
        config = Config.model_validate(changed)
        found[config.metadata.name] = config
    return found


def _apply(module: dict[str, Any], profile: dict[str, Any]) -> None:
    """What a profile has of `build` replaces what is there; then its patches, JSON Patch (RFC 6902) on the module."""
    module.setdefault("build", {}).update(copy.deepcopy(profile.get("build", {})))
    for patch in profile.get("patches", []):
        *way, last = patch["path"].split("/")[1:]
        place: Any = module
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        if isinstance(place, list) and last == "-":
            place.append(copy.deepcopy(patch["value"]))
            continue
        key: Any = int(last) if isinstance(place, list) else last
        if patch["op"] != "add":
            place[key]
        if patch["op"] == "remove":
            del place[key]
        else:
            place[key] = copy.deepcopy(patch["value"])
