"""The web server of a part: health, readiness with its reasons, metrics, and errors in words."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from thundercast.adapters.hosting import Readiness
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.service import Taken, serving
from thundercast.stage.protocols import Unavailable


def get(port: int, path: str, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method), timeout=30) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def exposed() -> CollectorRegistry:
    registry = CollectorRegistry()
    Metrics(registry, version="1.2.3")
    return registry


def test_it_lives_while_it_is_not_ready_and_says_why_it_is_not() -> None:
    reasons: dict[str, str] = {"the raw topic": "topic projects/p/topics/t does not exist: `thundercast bootstrap` makes it"}
    with serving(host="127.0.0.1", port=0, readiness=lambda: reasons, exposed=exposed()) as port:
        assert get(port, "/healthz")[0] == 200
        status, body, _ = get(port, "/readyz")
        assert (status, json.loads(body)) == (503, {"ready": False, "reasons": reasons})
        reasons.clear()
        assert get(port, "/readyz")[0] == 200
        status, body, headers = get(port, "/metrics")
        assert 'thundercast_build_info{version="1.2.3"} 1.0' in body
        assert headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(("path", "method", "status", "said"), [("/nothing", "GET", 404, "/readyz"), ("/healthz", "POST", 405, "GET")])
def test_a_path_or_method_that_is_not_there_is_answered_in_words(path: str, method: str, status: int, said: str) -> None:
    with serving(host="127.0.0.1", port=0, readiness=dict, exposed=exposed()) as port:
        code, body, headers = get(port, path, method)
    problem: dict[str, Any] = json.loads(body)
    assert (code, problem["status"], headers["Content-Type"].split(";")[0]) == (status, status, "application/problem+json")
    assert path in problem["what"]
    assert said in problem["way_out"]


def test_an_address_in_use_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(Taken, match=f"127.0.0.1:{port}.*--port"),
            serving(host="127.0.0.1", port=port, readiness=dict, exposed=exposed()),
        ):
            pass


def test_readiness_is_what_the_dependencies_answered_last() -> None:
    answers: dict[str, str] = {"a": "away"}

    def ask(name: str) -> None:
        if name in answers:
            raise Unavailable(answers[name])

    readiness = Readiness({"a": lambda: ask("a"), "b": lambda: ask("b")})
    assert readiness() == {"a": "not looked at yet", "b": "not looked at yet"}
    readiness.look()
    assert readiness() == {"a": "away"}
    assert readiness.answering == {"a": False, "b": True}
    answers.clear()
    readiness.look()
    assert readiness() == {}
