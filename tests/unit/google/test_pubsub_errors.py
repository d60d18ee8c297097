"""Each complaint of a service is one line that names the thing, what is wrong with it, and what mends it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from thundercast.adapters.google import pubsub_subscription
from thundercast.adapters.google.errors import BIGQUERY, PUBSUB, STORAGE, Service, answering, explained
from thundercast.adapters.google.pubsub_making import Subscription, ensure_subscription, ensure_topic
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.adapters.google.pubsub_topics import check_subscription, check_topic
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Unavailable


class Refusing(grpc.GenericRpcHandler):
    """A service that answers everything with one status."""

    def __init__(self) -> None:
        self.code, self.words = grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action."

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
            if details.method.endswith("TestIamPermissions"):
                context.abort(grpc.StatusCode.UNIMPLEMENTED, "no permissions here")
            context.abort(self.code, self.words)
            return b""

        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    """Every client of Pub/Sub talks to it."""
    handler = Refusing()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    yield handler
    server.stop(None).wait()


def publish() -> None:
    with PubSubPublisher("p", "t", timeout=0.5) as publisher:
        publisher.publish([Message(b"x", {})])


def asking(what: Callable[[PubSubSubscription], object]) -> Callable[[], None]:
    def ask() -> None:
        with PubSubSubscription("p", "s", timeout=0.5) as subscription:
            what(subscription)

    return ask


SUBSCRIPTION = "subscription projects/p/subscriptions/s"
CALLS: dict[str, tuple[Callable[[], object], str, str]] = {
    "publish": (publish, "topic projects/p/topics/t", "roles/pubsub.publisher"),
    "pull": (asking(lambda s: s.pull(1, 30.0)), SUBSCRIPTION, "roles/pubsub.subscriber"),
    "ack": (asking(lambda s: s.ack(["a"])), SUBSCRIPTION, "roles/pubsub.subscriber"),
    "nack": (asking(lambda s: s.nack(["a"])), SUBSCRIPTION, "roles/pubsub.subscriber"),
    "extend": (asking(lambda s: s.extend(["a"])), SUBSCRIPTION, "roles/pubsub.subscriber"),
    "seek": (asking(lambda s: s.seek(0.0)), SUBSCRIPTION, "roles/pubsub.viewer"),
    "check topic": (lambda: check_topic("p", "t", subscription="s"), "topic projects/p/topics/t", "roles/pubsub.viewer"),
    "check subscription": (lambda: check_subscription("p", "s"), SUBSCRIPTION, "roles/pubsub.viewer"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_permission_names_the_thing_and_the_role(refusing: Refusing, call: str) -> None:
    ask, resource, role = CALLS[call]
    with pytest.raises(Unavailable) as told:
        ask()
    line = str(told.value)
    assert line.startswith(f"{resource} could not ")
    assert f"permission denied; grant this identity {role} there" in line
    assert refusing.words in line
    assert "\n" not in line


def test_making_things_needs_the_editors_role(refusing: Refusing) -> None:
    from google.cloud import pubsub_v1

    with pubsub_v1.PublisherClient() as client, pytest.raises(Unavailable, match=r"^topic projects/p/topics/t .*roles/pubsub\.editor"):
        ensure_topic(client, "projects/p/topics/t")
    made = Subscription(name="projects/p/subscriptions/s", topic="projects/p/topics/t")
    with (
        pubsub_v1.SubscriberClient() as other,
        pytest.raises(Unavailable, match=r"^subscription projects/p/subscriptions/s .*roles/pubsub\.editor"),
    ):
        ensure_subscription(other, made)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "gcloud auth application-default login"),
        (grpc.StatusCode.INVALID_ARGUMENT, "refuses: the words"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "asks for patience: the words"),
        (grpc.StatusCode.UNAVAILABLE, "does not answer; start it, or unset the variable"),
        (grpc.StatusCode.INTERNAL, "failed: the words"),
        (grpc.StatusCode.ABORTED, "failed: the words"),
        (grpc.StatusCode.NOT_FOUND, "does not exist: `thundercast bootstrap` makes it"),
    ],
)
def test_every_other_refusal_is_a_line_too(refusing: Refusing, code: grpc.StatusCode, says: str) -> None:
    refusing.code, refusing.words = code, "the words"
    for call in ("publish", "ack", "seek"):
        ask, resource, _ = CALLS[call]
        with pytest.raises(Unavailable) as told:
            ask()
        assert str(told.value).startswith(resource)
        assert says in str(told.value)


def test_a_subscriber_that_was_refused_asks_again_by_itself(refusing: Refusing) -> None:
    with PubSubSubscription("p", "s") as subscription:
        with pytest.raises(Unavailable, match="permission denied"):
            subscription.pull(1, 30.0)
        with pytest.raises(Unavailable, match="permission denied"):
            subscription.pull(1, 0.0)  # it stays said until a request has passed
        refusing.code, refusing.words = grpc.StatusCode.DEADLINE_EXCEEDED, "no message"
        for _ in range(100):
            try:
                assert subscription.pull(1, 0.5) == []
                break
            except Unavailable:
                subscription._fetcher.join(0.1)  # type: ignore[union-attr]
        else:
            pytest.fail("it never asked again")


def test_who_takes_a_connection_and_says_nothing_is_not_taken_for_an_idle_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub_subscription, "_SHORT_POLL", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{silent.getsockname()[1]}")
        with PubSubSubscription("p", "s") as subscription, pytest.raises(Unavailable, match="does not answer"):
            subscription.pull(1, 30.0)
        with PubSubPublisher("p", "t", timeout=0.5) as publisher, pytest.raises(Unavailable, match="does not answer"):
            publisher.publish([Message(b"x", {})] * 3)


def line(error: Exception, service: Service = STORAGE) -> str | None:
    return explained(error, service, "bucket gs://b", "be read", role="roles/storage.objectUser", mend="`thundercast bootstrap` makes it")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (requests.ConnectionError("Connection\nrefused"), "Cloud Storage does not answer; can it be reached from here? (Connection refused)"),
        (requests.Timeout("read timed out"), "does not answer"),
        (auth.TransportError("no route"), "does not answer"),
        (auth.DefaultCredentialsError("Your default credentials were not found."), "STORAGE_EMULATOR_HOST a stand-in (Your default credentials"),
        (auth.RefreshError("token revoked"), "no valid credentials"),
        (api.Forbidden("denied"), "grant this identity roles/storage.objectUser there"),
        (api.RetryError("Timeout of 5.0s exceeded", api.ServiceUnavailable("refused")), "does not answer; can it be reached from here? (refused)"),
        (api.RetryError("Timeout of 5.0s exceeded", api.TooManyRequests("slow down")), "asks for patience: slow down"),
        (api.BadGateway("502"), "failed: 502"),
        (api.GoogleAPICallError("odd"), "failed: odd"),
    ],
)  # fmt: skip
def test_clients_that_speak_http_are_understood_too(monkeypatch: pytest.MonkeyPatch, error: Exception, says: str) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    found = line(error)
    assert found is not None
    assert found.startswith("bucket gs://b could not be read: ")
    assert says in found


@pytest.mark.parametrize("error", [api.PreconditionFailed("412"), api.AlreadyExists("there"), api.Conflict("409")])
def test_answers_are_not_taken_for_failures(error: Exception) -> None:
    assert line(error) is None
    with pytest.raises(type(error)), answering(BIGQUERY, "table t", "be made", role="r", mend="m"):
        raise error


def test_what_is_no_complaint_of_a_service_passes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), answering(PUBSUB, "topic t", "be made", role="r", mend="m"):
        _: Any = 1 / 0


def test_without_credentials_a_publisher_says_so_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise auth.DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setattr("google.auth.default", none)
    with (
        PubSubPublisher("p", "t") as publisher,
        pytest.raises(Unavailable, match="^topic projects/p/topics/t .*no valid credentials.*PUBSUB_EMULATOR_HOST"),
    ):
        publisher.publish([Message(b"x", {})])
    with PubSubSubscription("p", "s") as subscription, pytest.raises(Unavailable, match="no valid credentials"):
        subscription.pull(1, 30.0)


@pytest.mark.parametrize("wrong", [{"timeout": 0.0}, {"timeout": -1.0}])
def test_a_publisher_without_patience_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0"):
        PubSubPublisher("p", "t", **wrong)


@pytest.mark.parametrize("deadline", [9, 601])
def test_an_ack_deadline_that_pubsub_does_not_know_is_refused(deadline: int) -> None:
    with pytest.raises(ValueError, match="ack_deadline must be 10 to 600"):
        PubSubSubscription("p", "s", ack_deadline=deadline)
