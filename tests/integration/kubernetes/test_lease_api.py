"""What a Lease says in the cluster, and what the API server's refusals are told as."""

from __future__ import annotations

import datetime as dt
import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from integration.kubernetes.apiserver import api_client
from integration.kubernetes.conftest import Cluster
from thundercast.adapters.kubernetes.lease import KubernetesLease
from thundercast.adapters.locks import open_lock
from thundercast.stage.protocols import Unavailable
from thundercast.stage.settings import Clock


@pytest.fixture
def name() -> str:
    return f"trainer-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def api(cluster: Cluster) -> Iterator[client.ApiClient]:
    with api_client(cluster.kubeconfig) as api:
        yield api


@pytest.fixture
def leases(api: client.ApiClient) -> client.CoordinationV1Api:
    return client.CoordinationV1Api(api)


def test_the_lease_tells_who_since_when_and_how_often_it_changed(cluster: Cluster, leases: client.CoordinationV1Api, name: str) -> None:
    one, two = (KubernetesLease(cluster.namespace, name, api=leases) for _ in range(2))
    assert one.acquire(0)
    first = leases.read_namespaced_lease(name, cluster.namespace).spec
    assert one.attempt()
    renewed = leases.read_namespaced_lease(name, cluster.namespace).spec
    assert (renewed.holder_identity, renewed.lease_duration_seconds, renewed.lease_transitions) == (first.holder_identity, 10, 0)
    assert renewed.acquire_time == first.acquire_time
    assert renewed.renew_time > first.renew_time
    assert abs((dt.datetime.now(dt.UTC) - renewed.renew_time).total_seconds()) < 3600
    one.release()
    assert leases.read_namespaced_lease(name, cluster.namespace).spec.holder_identity == ""
    assert two.attempt()
    taken = leases.read_namespaced_lease(name, cluster.namespace).spec
    assert taken.lease_transitions == 1
    assert taken.holder_identity != first.holder_identity
    two.release()


def test_times_without_a_fraction_are_taken_by_the_server(cluster: Cluster, leases: client.CoordinationV1Api, name: str) -> None:
    lease = KubernetesLease(cluster.namespace, name, api=leases, clock=Clock(wall=lambda: 1_700_000_000.0))
    assert lease.acquire(0)
    lease.release()
    renewed = leases.read_namespaced_lease(name, cluster.namespace).spec.renew_time
    assert renewed == dt.datetime.fromtimestamp(1_700_000_000, dt.UTC).replace(microsecond=1)


def test_a_lease_that_somebody_deleted_is_lost_and_made_anew(cluster: Cluster, leases: client.CoordinationV1Api, name: str) -> None:
    lease = KubernetesLease(cluster.namespace, name, api=leases)
    assert lease.attempt()
    leases.delete_namespaced_lease(name, cluster.namespace)
    assert not lease.attempt()
    assert not lease.held()
    assert lease.attempt()
    assert lease.held()


def test_a_lease_that_people_or_other_programs_made_is_used(cluster: Cluster, leases: client.CoordinationV1Api, name: str) -> None:
    leases.create_namespaced_lease(cluster.namespace, {"metadata": {"name": name, "labels": {"made": "by-hand"}}, "spec": {}})
    lease = KubernetesLease(cluster.namespace, name, api=leases)
    assert lease.attempt()
    assert leases.read_namespaced_lease(name, cluster.namespace).metadata.labels == {"made": "by-hand"}


def test_each_missing_right_is_told_with_its_verb(
    cluster: Cluster, api: client.ApiClient, leases: client.CoordinationV1Api, name: str
) -> None:
    rights = client.RbacAuthorizationV1Api(api)
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]}
    role = {"metadata": {"name": name}, "rules": [rule]}
    rights.create_namespaced_role(cluster.namespace, role)
    rights.create_namespaced_role_binding(cluster.namespace, {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
    })  # fmt: skip
    with api_client(cluster.kubeconfig) as theirs:
        theirs.set_default_header("Impersonate-User", name)
        lease = KubernetesLease(cluster.namespace, name, api=client.CoordinationV1Api(theirs))
        for missing in ("get", "create", "update"):
            told = (
                f"lease {cluster.namespace}/{name}: permission denied; .* the verb {missing} on leases of coordination.k8s.io in namespace"
            )
            until_it_says(lease, told)
            rule["verbs"].append(missing)
            rights.replace_namespaced_role(name, cluster.namespace, role)
        until_it_is_had(lease)
        lease.release()
    assert leases.read_namespaced_lease(name, cluster.namespace).spec.holder_identity == ""


def until_it_says(lease: KubernetesLease, told: str) -> None:
    """The API server learns of rights a moment after they are given."""
    line = ""
    for _ in range(30):
        try:
            # With every right but the one to update, it can be taken once.
            lease.acquire(0.2)
            lease.attempt()
            if lease.held():
                lease.release()
        except Unavailable as error:
            line = str(error)
            if re.search(told, line):
                return
    raise AssertionError(f"it never said {told!r}, but at last {line!r}")


def until_it_is_had(lease: KubernetesLease) -> None:
    for _ in range(30):
        try:
            if lease.acquire(2.0):
                return
        except Unavailable:
            continue
    raise AssertionError("it was never had")


def test_a_missing_namespace_is_named(cluster: Cluster, leases: client.CoordinationV1Api) -> None:
    with pytest.raises(Unavailable, match="lease no-such-place/x: namespace no-such-place does not exist"):
        KubernetesLease("no-such-place", "x", api=leases).acquire(0)


def test_an_api_server_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        (tmp_path / "config").write_text(
            f"""{{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}],
            "clusters": [{{"name": "c", "cluster": {{"server": "http://127.0.0.1:{nobody.getsockname()[1]}"}}}}], "users": [{{"name": "u", "user": {{}}}}]}}"""
        )
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        lock = open_lock("kubernetes:weather/trainer")
        with pytest.raises(Unavailable, match="lease weather/trainer: the API server does not answer"):
            lock.acquire(0)
        assert lock.holder() == ""
        assert not lock.held()
        lock.release()


def test_a_program_that_knows_no_cluster_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(Unavailable, match="lease weather/trainer: no cluster is known; run in a pod, or set KUBECONFIG"):
        open_lock("kubernetes:weather/trainer").acquire(0)
