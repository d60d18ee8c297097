"""The report of a run or a backtest: one page, with everything in it, whose numbers are the store's."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast_dashboard.texts import Texts

THUNDERCAST = Path(sys.executable).with_name("thundercast")


def thundercast(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([THUNDERCAST, *map(str, arguments)], capture_output=True, text=True, timeout=400, check=False)


class Page(HTMLParser):
    """What a page has: its words, its pictures' names, and where it would fetch something from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.pictures: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.language = given.get("lang") or self.language if tag == "html" else self.language
        self.fetched += [value for name in ("src", "href", "xlink:href") if (value := given.get(name)) and not value.startswith("#")]
        if tag == "svg" and given.get("role") == "img":
            self.pictures.append(given.get("aria-label") or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def self_contained(path: Path) -> Page:
    page = Page(path.read_text(encoding="utf-8"))
    assert page.fetched == []
    assert not {"script", "iframe", "link", "object"} & set(page.tags)
    assert "url(" not in re.sub(r"url\(#\w+\)", "", path.read_text(encoding="utf-8")), "only clip paths of its own"
    return page


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two months that came to its end."""
    folder = tmp_path_factory.mktemp("report")
    done = thundercast(
        "run", "--source", "sample", "--start", "2022-05-01", "--end", "2022-06-30", "--speed", "max", "--until-complete", "--no-dashboard",
        "--state", folder / "state", "--cache", folder / "cache", "--metrics-port", 0, "--model", "thunder", "--model", "logistic",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "state"


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_report_of_a_run_has_the_stores_numbers(state: Path, language: str, tmp_path: Path) -> None:
    done = thundercast("report", "--state", state, "-o", tmp_path / "r.html", "--language", language)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "r.html") in done.stderr.replace("\n", "")
    page, t = self_contained(tmp_path / "r.html"), Texts(language)
    assert page.language == language
    reader = SqliteReader(state / "store.sqlite")
    (run,) = reader.runs().to_pylist()
    rows = [row for row in reader.metrics(run["run_id"], scope="30d", gate="all").to_pylist() if row["model_name"] == "thunder"]
    reader.close()
    for task in ("nowcast", "dayahead"):
        last = max((row for row in rows if row["task"] == task), key=lambda row: row["date"])
        assert t.date(last["date"]) in page.text
        for score in ("roc_auc", "pr_auc", "brier_skill", "hss", "csi"):
            assert t.decimal(last[score], 3) in page.text, (task, score)
        for cell in ("tp", "fp", "fn", "tn"):
            assert t.number(last[cell]) in page.text
    assert run["source"] in page.text
    assert run["rights"] in page.text
    assert t("data.observed") in page.text
    # For each task the leaderboard, six scores, two of the probabilities and the months, each with its name.
    assert len(page.pictures) == 2 * 10
    assert all(page.pictures)
    assert len(set(page.pictures)) == 10


def test_a_report_of_a_backtest_has_its_numbers(tmp_path: Path) -> None:
    done = thundercast(
        "backtest", "sample", "--end", "2022-04-30", "--model", "logistic", "--json", "--report", tmp_path / "b.html", "--cache", tmp_path
    )
    assert done.returncode == 0, done.stderr
    found, page, t = json.loads(done.stdout), self_contained(tmp_path / "b.html"), Texts("en")
    assert found["source"] in page.text
    assert t.date(dt.date(2022, 4, 30)) in page.text
    # The leaderboard is of the whole backtest.
    assert t.decimal(found["models"]["logistic"]["brier_skill"], 3) in page.text
    assert t.decimal(found["models"]["logistic"]["hss"], 3) in page.text
    assert "numba" in page.text
    assert len(page.pictures) == 10


def test_synthetic_data_is_called_so_in_a_report(tmp_path: Path) -> None:
    done = thundercast("backtest", "synthetic:40,end=2022-03-15", "--report", tmp_path / "s.html", "--cache", tmp_path)
    assert done.returncode == 0, done.stderr
    page, t = self_contained(tmp_path / "s.html"), Texts("en")
    assert t("data.synthetic") in page.text
    assert t("data.observed") not in page.text


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (["--state", "{state}", "--run", "no-such"], 1, "the store has no run 'no-such'; its newest are "),
        (["--state", "{tmp}/none"], 1, "store.sqlite"),
        (["--state", "{state}", "--language", "fr"], 2, "--language 'fr' is none of en, es"),
        (["--state", "{state}", "--bigquery"], 2, "--state and --bigquery name two stores"),
        (["--state", "{state}", "--project", "p"], 2, "add --bigquery"),
        (["--state", "{state}", "-o", "{tmp}/none/r.html"], 1, "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_reported_is_said_in_a_line(state: Path, given: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = thundercast("report", *(word.format(state=state, tmp=tmp_path) for word in given))
    assert done.returncode == code
    assert says in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
