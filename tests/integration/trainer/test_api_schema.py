"""Schemathesis against the running app: whatever the document allows is answered as it says, whatever it does not is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from integration.trainer.conftest import Served, serve
from thundercast_trainer import openapi
from thundercast_trainer.auth import OidcVerifier
from unit.trainer.scene import Trainer, stream
from unit.trainer.tokens import AUDIENCE, EMAIL, bearer, certificates

STREAM = stream(4, 20)
KNOWN = STREAM[0][1].column("station")[0].as_py()
# What cannot be read becomes a dead letter there: nobody who may push is refused for what the body is.
TAKES_ANYTHING = "/predict-and-train"


def operations() -> dict[str, Any]:
    document = openapi.document()
    # A station that is known is worth more than a made-up one.
    (parameter,) = document["paths"]["/v1/stations/{id}"]["get"]["parameters"]
    row = document["components"]["schemas"]["Row"]["properties"]
    parameter["schema"], row["station"] = ({"anyOf": [{"const": KNOWN}, given]} for given in (parameter["schema"], row["station"]))
    found = schemathesis.openapi.from_dict(document).get_all_operations()
    return {operation.ok().label: operation.ok() for operation in found}


OPERATIONS = operations()


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    trainer = Trainer(STREAM)
    trainer.go_on(3)
    verifier = OidcVerifier(AUDIENCE, [EMAIL], certificates=certificates)
    with serve(trainer, verifier) as served:
        served.loop = replace(served.loop, leader=True)
        ended = threading.Event()

        def ack_everything() -> None:
            while not ended.is_set():
                served.door.ack([delivery.token for delivery in served.door.pull(10, 0.1)])

        thread = threading.Thread(target=ack_everything)
        thread.start()
        yield served
        ended.set()
        thread.join()


CASES = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    # Where nothing is sent nothing can be wrong.
    if mode is GenerationMode.POSITIVE or operation.body or list(operation.iter_parameters())
]


@pytest.mark.parametrize(("label", "mode"), CASES, ids=[f"{label}, {mode.value}" for label, mode in CASES])
def test_the_app_is_as_its_document_says(label: str, mode: GenerationMode, running: Served) -> None:
    operation = OPERATIONS[label]

    @settings(
        max_examples=40, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )  # fmt: skip
    @given(st.data())
    def answered(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        excluded = [negative_data_rejection] if operation.path == TAKES_ANYTHING else []
        headers = {"Authorization": bearer()} if operation.path == TAKES_ANYTHING else {}
        case.call_and_validate(base_url=running.url, headers=headers, excluded_checks=excluded, timeout=60)

    answered()


def test_every_operation_is_tried() -> None:
    paths = openapi.document()["paths"]
    assert len(OPERATIONS) == sum(len(ways) for ways in paths.values()) == 10
