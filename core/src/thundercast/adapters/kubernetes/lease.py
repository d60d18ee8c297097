"""One writer by a Lease of Kubernetes (coordination.k8s.io/v1).

Needs a Role with the verbs get, create and update on leases.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.util.ssl_ import create_urllib3_context

from thundercast.adapters.locks import Elector, Holding, Timing, identity, monotonic
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.stage.protocols import Unavailable
from thundercast.stage.settings import Clock

_CONFLICT: Final = 409
_WORDS: Final = 300
"""Longest quotation of the API server's own words."""


class KubernetesLease(Elector):
    """Implements `thundercast.stage.protocols.Lock`.

    Args:
        namespace, name: the Lease; made when it is first taken, and it stays.
        api: instead of one for the pod's own API server, or outside of a cluster for that of the kubeconfig.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        *,
        api: client.CoordinationV1Api | None = None,
        timing: Timing | None = None,
        clock: Clock | None = None,
    ) -> None:
        timing, clock = timing or Timing(), clock or Clock(monotonic=monotonic)
        record = LeaseRecord(namespace, name, timing, clock, api=api)
        super().__init__(record, identity(), kind="pod", timing=timing, clock=clock)


def connect() -> client.CoordinationV1Api:
    """The API by the pod's service account; outside of a cluster, or with ``KUBECONFIG`` set, by the kubeconfig.

    Raises:
        ConfigException: there is neither.
    """
    settings = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
        config.load_incluster_config(client_configuration=settings)
    else:
        config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
    # Whoever holds the lease asks again anyway, and by its own clock.
    settings.retries = 0
    api = client.ApiClient(settings)
    # From Python 3.13 on a certificate must be all that RFC 5280 says of it, and those that many clusters sign with are not. The
    # signature, the name and the dates are checked all the same.
    context = create_urllib3_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    api.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context
    return client.CoordinationV1Api(api)


class LeaseRecord:
    """Implements `thundercast.adapters.locks.Record`. The version is the Lease's ``resourceVersion``."""

    def __init__(self, namespace: str, name: str, timing: Timing, clock: Clock, *, api: client.CoordinationV1Api | None = None) -> None:
        self._namespace = namespace
        self._name = name
        self._timeout = (timing.request / 2, timing.request)
        self._wall = clock.wall
        self._given = api
        self._metadata: dict[str, Any] = {"name": name, "namespace": namespace}

    @cached_property
    def _api(self) -> client.CoordinationV1Api:
        # Only when it is first needed, so that a missing configuration is told like everything else that is missing.
        return self._given or connect()

    def read(self) -> tuple[Holding, str] | None:
        with self._answering("get"):
            try:
                lease = self._api.read_namespaced_lease(self._name, self._namespace, _request_timeout=self._timeout)
            except ApiException as error:
                if error.status == 404:
                    return None
                raise
        self._keep_metadata(lease)
        spec = lease.spec
        acquired = spec.acquire_time.timestamp() if spec.acquire_time else 0.0
        holding = Holding(spec.holder_identity or "", spec.lease_transitions or 0, acquired, float(spec.lease_duration_seconds or 0))
        return holding, lease.metadata.resource_version

    def write(self, holding: Holding, expected: str) -> str:
        body = self._body(holding)
        with self._answering("create" if expected == ABSENT else "update"):
            try:
                if expected == ABSENT:
                    lease = self._api.create_namespaced_lease(self._namespace, body, _request_timeout=self._timeout)
                else:
                    # With the uid, else a Lease that was deleted would be made anew by its update.
                    body["metadata"] = {**self._metadata, "resourceVersion": expected}
                    lease = self._api.replace_namespaced_lease(self._name, self._namespace, body, _request_timeout=self._timeout)
            except ApiException as error:
                if error.status == _CONFLICT:
                    raise Changed(self._path) from error
                raise
        self._keep_metadata(lease)
        return str(lease.metadata.resource_version)

    def _keep_metadata(self, lease: client.V1Lease) -> None:
        """Labels and the like that others gave it, to be sent back as they are."""
        self._metadata = self._api.api_client.sanitize_for_serialization(lease.metadata)
        # Whose each field is, the server knows by itself.
        self._metadata.pop("managedFields", None)

    def _body(self, holding: Holding) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": holding.holder,
                "leaseDurationSeconds": math.ceil(holding.duration),
                "leaseTransitions": holding.transitions,
                "acquireTime": _micro_time(holding.acquired),
                "renewTime": _micro_time(self._wall()),
            },
        }

    @property
    def _path(self) -> str:
        return f"lease {self._namespace}/{self._name}"

    @contextmanager
    def _answering(self, verb: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise Unavailable(self._explained(verb, error)) from error
        except ConfigException as error:
            raise Unavailable(f"{self._path}: no cluster is known; run in a pod, or set KUBECONFIG ({_line(error)})") from error
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self._path}: the API server does not answer; can it be reached from here? ({_line(error)})") from error

    def _explained(self, verb: str, error: ApiException) -> str:
        words = _message(error)
        match error.status:
            case 403:
                return (
                    f"{self._path}: permission denied; this service account needs a Role with the verb {verb} on leases of "
                    f"coordination.k8s.io in namespace {self._namespace} ({words})"
                )
            case 401:
                return f"{self._path}: the API server does not accept this identity ({words})"
            case 404:
                return f"{self._path}: namespace {self._namespace} does not exist ({words})"
            case _:
                return f"{self._path}: the API server refuses to {verb} it: {error.status} ({words})"


def _micro_time(seconds: float) -> str:
    """UNIX seconds as the API server reads them: with six digits after the point.

    The client leaves them out where they are all zero, which the server refuses, so then it is a microsecond later.
    """
    time = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return time.replace(microsecond=time.microsecond or 1).isoformat()


def _message(error: ApiException) -> str:
    """The server's own words: it answers with a Status object, but what is in front of it may not."""
    try:
        return _line(json.loads(error.body)["message"])
    except (ValueError, TypeError, KeyError):
        return _line(error.body or error.reason)


def _line(words: object) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return " ".join(text.split())[:_WORDS]
