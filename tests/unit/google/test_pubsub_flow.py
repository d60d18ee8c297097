"""A publisher has no more under way than its bounds allow, whatever it is given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.pubsub_v1 import types

from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Unavailable

PATIENCE = 60.0  # s


class Slow(grpc.GenericRpcHandler):
    """A Pub/Sub that confirms nothing before it is told to."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.confirming = False
        self.under_way = self.most = 0
        self.taken: list[bytes] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            self.publish, request_deserializer=types.PublishRequest.deserialize, response_serializer=types.PublishResponse.serialize
        )

    def publish(self, request: types.PublishRequest, context: grpc.ServicerContext) -> types.PublishResponse:
        with self.changed:
            self.under_way += len(request.messages)
            self.most = max(self.most, self.under_way)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.confirming, PATIENCE)
            self.under_way -= len(request.messages)
            self.taken += [message.data for message in request.messages]
        return types.PublishResponse(message_ids=[str(i) for i in range(len(request.messages))])


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    handler = Slow()
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    yield handler
    with handler.changed:
        handler.confirming = True
        handler.changed.notify_all()
    server.stop(None).wait()


@pytest.mark.parametrize(("limits", "most"), [({"limit_messages": 5}, 5), ({"limit_bytes": 3_500}, 3)])
def test_a_publisher_waits_for_confirmations_when_its_bounds_are_reached(slow: Slow, limits: dict[str, int], most: int) -> None:
    messages = [Message(str(n).encode().ljust(1_000), {}) for n in range(20)]
    with PubSubPublisher("p", "t", timeout=PATIENCE, **limits) as publisher:
        thread = threading.Thread(target=publisher.publish, args=(messages,))
        thread.start()
        with slow.changed:
            assert slow.changed.wait_for(lambda: slow.under_way == most, PATIENCE)
            assert not slow.changed.wait_for(lambda: slow.under_way > most, 0.3)
            slow.confirming = True
            slow.changed.notify_all()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert sorted(slow.taken) == sorted(message.data for message in messages)
    assert slow.most == most


def test_what_is_not_confirmed_in_time_is_an_error_also_behind_a_full_window(slow: Slow) -> None:
    messages = [Message(b"x" * 1_000, {}) for _ in range(20)]
    with PubSubPublisher("p", "t", timeout=0.5, limit_messages=2) as publisher:
        with pytest.raises(Unavailable, match="^topic projects/p/topics/t could not be published to: "):
            publisher.publish(messages)
        with slow.changed:
            slow.confirming = True
            slow.changed.notify_all()
        publisher.publish(messages[:3])
