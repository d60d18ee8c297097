"""What `helm test` runs, against a trainer's real API."""

from __future__ import annotations

import pytest

from integration.trainer.conftest import serve
from thundercast_standalone import check
from unit.trainer.scene import Trainer, stream


def test_it_passes_when_the_run_has_a_newer_score_and_predictions_are_served(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(stream(6))
    trainer.go_on(2)
    pauses: list[float] = []

    def a_date_later(seconds: float) -> None:
        pauses.append(seconds)
        trainer.go_on(1)

    monkeypatch.setattr(check.time, "sleep", a_date_later)
    with serve(trainer) as served:
        assert check.main([served.url, "60"]) == 0
    said = capsys.readouterr().out
    assert "scores up to" in said
    assert "predictions are served" in said
    assert pauses, "it did not wait for a newer score"


def test_a_stream_that_stands_still_fails_and_the_newest_score_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Trainer(stream(6))
    trainer.go_on(2)
    with serve(trainer) as served:
        assert check.main([served.url, "0.5"]) == 1
    assert "has had no newer score than that of 20" in capsys.readouterr().err


def test_a_page_that_does_not_say_ok_fails_by_its_address(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(stream(6))
    trainer.go_on(2)
    monkeypatch.setattr(check.time, "sleep", lambda _: trainer.go_on(1))
    with serve(trainer) as served:
        assert check.main([served.url, "60", f"{served.url}/nowhere"]) == 1
    assert "/nowhere: 404" in capsys.readouterr().err


def test_nobody_there_fails_with_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["http://127.0.0.1:9", "0.2"]) == 1
    assert "http://127.0.0.1:9/v1/scores" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["http://127.0.0.1:9"], ["http://127.0.0.1:9", "soon"]])
def test_words_that_are_missing_are_told_with_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(words) == 2
    assert "TRAINER SECONDS" in capsys.readouterr().err
