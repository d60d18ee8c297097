"""Fetching from NCEI: whole files or none, politely, once; against a server of the test's own."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import structlog

from thundercast.adapters.sources import SourceError
from thundercast.adapters.sources.download import session
from thundercast.adapters.sources.ncei import NceiSource
from unit.sources.stationdays import FIRST, dates_of, days_csv, letters_of, rows_of, tar_gz

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Server:
    """Answers from a script first, then from its files.

    Attributes:
        files: content by path; each has the ETag of its length.
        script: answers to be given first, by path.
        seen: (path, headers) of the requests.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    script: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.seen.append((path, headers))
        if self.script.get(path):
            return self.script[path].pop(0)
        if path not in self.files:
            return 404, {}, b"nothing here"
        etag = f'"{len(self.files[path])}"'
        if headers.get("If-None-Match") == etag:
            return 304, {}, b""
        return 200, {"ETag": etag, "Last-Modified": formatdate(0, usegmt=True)}, self.files[path]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = server.answer(self.path, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers and "Without-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            if "Content-Length" in headers or "Without-Length" in headers:
                self.close_connection = True
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        http.shutdown()
        thread.join(timeout=10)


Ncei = Callable[..., NceiSource]


@pytest.fixture
def ncei(server: Server, cache: Path) -> Ncei:
    def make(*years: int, stations: tuple[str, ...] = (), attempts: int = 3) -> NceiSource:
        return NceiSource(
            range(years[0], years[-1] + 1),
            cache=cache,
            stations=stations,
            base_url=server.url,
            http=session(attempts=attempts, backoff=0.01),
        )

    return make


def archive(tmp_path: Path, year: int, stations: int = 2, days: int = 4) -> bytes:
    files = {f"7200000000{i}.csv": days_csv(f"7200000000{i}", FIRST.replace(year=year), days).encode() for i in range(stations)}
    return tar_gz(tmp_path / f"{year}.tar.gz", files).read_bytes()


def test_each_year_is_one_request(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.files = {f"/archive/{year}.tar.gz": archive(tmp_path, year) for year in (2021, 2022, 2023)}
    source = ncei(2021, 2023)
    rows = rows_of(source)
    assert server.paths == [f"/archive/{year}.tar.gz" for year in (2021, 2022, 2023)]
    assert rows.num_rows == 3 * 2 * 4
    assert source.open().rows == rows.num_rows


def test_the_request_says_who_asks_and_wants_the_bytes_as_they_are(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.files = {"/archive/2023.tar.gz": archive(tmp_path, 2023)}
    ncei(2023).open()
    (_, headers) = server.seen[0]
    assert headers["User-Agent"].startswith("thundercast/")
    assert headers["Accept-Encoding"] == "identity"


def test_years_follow_each_other_and_a_restart_gives_the_same_rows(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.files = {f"/archive/{year}.tar.gz": archive(tmp_path, year) for year in (2022, 2023)}
    whole = dates_of(ncei(2022, 2023))
    assert [date.date for date in whole] == [dt.date(2022, 1, 1) + dt.timedelta(days=i) for i in range(365 + 4)]
    assert sum(date.rows.num_rows for date in whole) == 16
    for start in (0, 2, 200, 365, 367):
        assert dates_of(ncei(2022, 2023), start=whole[start].date) == whole[start:]
    beyond = dates_of(ncei(2022, 2023), dt.date(2021, 12, 30), dt.date(2022, 1, 2))
    assert [date.rows.num_rows for date in beyond] == [0, 0, 2, 2]
    late = dates_of(ncei(2022, 2023), dt.date(2024, 12, 30), dt.date(2024, 12, 31))
    assert [date.rows.num_rows for date in late] == [0, 0]


def test_what_was_fetched_is_not_fetched_again(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.files = {"/archive/2021.tar.gz": archive(tmp_path, 2021)}
    first = ncei(2021).open()
    second = ncei(2021).open()
    assert server.paths == ["/archive/2021.tar.gz"]
    assert first.identity == second.identity
    assert second.prepare_seconds == 0


def test_a_year_that_is_not_settled_is_asked_about_and_sent_only_if_it_changed(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    year = dt.datetime.now(dt.UTC).year
    path = f"/archive/{year}.tar.gz"
    server.files = {path: archive(tmp_path, year)}
    before = ncei(year).open()
    assert ncei(year).open().identity == before.identity
    assert [("If-None-Match" in headers, "If-Modified-Since" in headers) for _, headers in server.seen] == [(False, False), (True, True)]
    server.files = {path: archive(tmp_path, year, days=9)}
    after = ncei(year).open()
    assert (before.rows, after.rows) == (8, 18)
    assert after.identity != before.identity


@pytest.mark.parametrize("trouble", ["away", "503"])
def test_a_copy_is_used_when_the_server_cannot_be_asked_and_a_warning_says_so(
    trouble: str, server: Server, ncei: Ncei, cache: Path, tmp_path: Path
) -> None:
    year = dt.datetime.now(dt.UTC).year
    path = f"/archive/{year}.tar.gz"
    server.files = {path: archive(tmp_path, year)}
    ncei(year).open()
    source = ncei(year, attempts=1)
    if trouble == "503":
        server.script = {path: [(503, {}, b"")] * 2}
    else:
        source._base = "http://127.0.0.1:9"  # the discard port: nobody listens
    with structlog.testing.capture_logs() as logs:
        assert source.open().rows == 8
    assert [(log["event"], log["log_level"], log["used"]) for log in logs] == [("source_not_revalidated", "warning", f"{year}.tar.gz")]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(status: int, server: Server, ncei: Ncei, tmp_path: Path) -> None:
    path = "/archive/2023.tar.gz"
    server.files = {path: archive(tmp_path, 2023)}
    server.script = {path: [(status, {"Retry-After": "0"}, b"busy"), (status, {}, b"busy")]}
    assert ncei(2023).open().rows == 8
    assert server.paths == [path] * 3


def test_a_server_that_stays_busy_is_named_and_nothing_is_kept(server: Server, ncei: Ncei, cache: Path) -> None:
    server.script = {"/archive/2023.tar.gz": [(503, {}, b"busy")] * 9}
    with pytest.raises(SourceError, match=r"/archive/2023\.tar\.gz: cannot be fetched: .*503.*try again later"):
        ncei(2023, attempts=2).open()
    assert len(server.seen) == 3
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_year_that_is_not_there_is_named(server: Server, ncei: Ncei) -> None:
    with pytest.raises(SourceError, match=r"/archive/1930\.tar\.gz: the server has no such file \(404\)"):
        ncei(1930).open()
    assert len(server.seen) == 1


def test_a_refusal_is_not_asked_again(server: Server, ncei: Ncei) -> None:
    server.script = {"/archive/2023.tar.gz": [(403, {}, b"no")]}
    with pytest.raises(SourceError, match="403"):
        ncei(2023).open()
    assert len(server.seen) == 1


def test_no_connection_is_named(cache: Path) -> None:
    source = NceiSource(range(2023, 2024), cache=cache, base_url="http://127.0.0.1:9", http=session(attempts=1, backoff=0.01))
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9/archive/2023\.tar\.gz: cannot be fetched: .*try again later"):
        source.open()


def test_a_transfer_that_breaks_off_is_never_taken_for_the_file(server: Server, ncei: Ncei, cache: Path, tmp_path: Path) -> None:
    path = "/archive/2023.tar.gz"
    whole = archive(tmp_path, 2023)
    server.script = {path: [(200, {"Content-Length": str(len(whole))}, whole[:-50])]}
    with pytest.raises(SourceError, match=r"2023\.tar\.gz: .*(broke|Incomplete)"):
        ncei(2023).open()
    assert not [file for file in cache.rglob("*") if file.is_file()]
    server.files = {path: whole}
    assert ncei(2023).open().rows == 8


def test_a_file_of_unknown_length_is_refused(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.script = {"/archive/2023.tar.gz": [(200, {"Without-Length": "1"}, archive(tmp_path, 2023))]}
    with pytest.raises(SourceError, match="does not say how long the file is"):
        ncei(2023).open()


def test_a_kill_between_file_and_note_fetches_anew(server: Server, ncei: Ncei, cache: Path, tmp_path: Path) -> None:
    server.files = {"/archive/2021.tar.gz": archive(tmp_path, 2021)}
    ncei(2021).open()
    (note,) = cache.rglob(".2021.tar.gz.json")
    assert json.loads(note.read_text())["url"] == f"{server.url}/archive/2021.tar.gz"
    note.unlink()
    ncei(2021).open()
    assert len(server.seen) == 2
    assert note.is_file()


def test_a_damaged_archive_says_where_it_is_and_what_to_do(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.files = {"/archive/2023.tar.gz": archive(tmp_path, 2023)[:-20]}
    with pytest.raises(SourceError, match=r"cut off.*2023\.tar\.gz; delete it to fetch it again"):
        ncei(2023).open()


def test_an_archive_of_another_year_is_refused(server: Server, ncei: Ncei, tmp_path: Path) -> None:
    server.files = {"/archive/2023.tar.gz": archive(tmp_path, 2021)}
    with pytest.raises(SourceError, match="the rows of 2023 go from 2021-01-01"):
        ncei(2023).open()


def test_chosen_stations_are_fetched_one_by_one_and_an_absent_one_is_told(server: Server, ncei: Ncei) -> None:
    stations = ("72000000002", "72000000001")
    server.files = {f"/access/2023/{s}.csv": days_csv(s, FIRST, 3).encode() for s in stations}
    server.files["/access/2022/72000000001.csv"] = days_csv("72000000001", FIRST.replace(year=2022), 3).encode()
    source = ncei(2022, 2023, stations=stations)
    with structlog.testing.capture_logs() as logs:
        assert source.open().rows == 9
    assert server.paths == [f"/access/{year}/{station}.csv" for year in (2022, 2023) for station in sorted(stations)]
    assert [(log["event"], log["station"], log["year"]) for log in logs] == [("station_year_absent", "72000000002", 2022)]
    assert source.open().identity.startswith("ncei:2022-2023,stations=72000000001+72000000002#")
    assert letters_of(source) == []


def test_stations_that_are_nowhere_are_named(ncei: Ncei) -> None:
    with structlog.testing.capture_logs(), pytest.raises(SourceError, match="no file of the stations 72000000009 in 2022-2023"):
        ncei(2022, 2023, stations=("72000000009",)).open()


def test_another_choice_of_stations_is_another_source(server: Server, ncei: Ncei) -> None:
    server.files = {f"/access/2023/{s}.csv": days_csv(s, FIRST, 3).encode() for s in ("72000000001", "72000000002")}
    both = ncei(2023, stations=("72000000001", "72000000002")).open()
    one = ncei(2023, stations=("72000000001",)).open()
    assert (both.rows, one.rows) == (6, 3)
    assert both.identity != one.identity
