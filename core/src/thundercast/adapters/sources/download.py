"""Fetching files over HTTP once: whole or not at all, asked again only whether they changed, politely."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import requests
import structlog
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from thundercast import __version__
from thundercast.adapters.sources.base import SourceError

USER_AGENT: Final = f"thundercast/{__version__} (replays GSOD over one connection; python-requests)"
_TIMEOUT: Final = (10.0, 60.0)  # s, to connect and between bytes
_CHUNK: Final = 1 << 20
_ABANDONED: Final = 86_400  # s

Received = Callable[[float, float], None]
"""Called with (bytes so far, bytes in all)."""

_log = structlog.get_logger(__name__)


class Absent(SourceError):
    """The server answers that there is no such file."""


@dataclass(frozen=True, slots=True)
class _Note:
    """What is kept beside a fetched file, so as to ask whether it changed."""

    url: str
    etag: str
    last_modified: str
    fetched: str


def session(*, attempts: int = 5, backoff: float = 1.0) -> requests.Session:
    """One connection at a time; tries again on 429 and 5xx, waiting 1, 2, 4, … s or what the server's Retry-After says.

    Args:
        attempts: further ones, after the first.
        backoff: seconds before the second attempt.
    """
    retry = Retry(
        total=attempts,
        backoff_factor=backoff,
        backoff_jitter=backoff / 4,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET",),
        respect_retry_after_header=True,
        raise_on_status=False,
    )
    made = requests.Session()
    for scheme in ("https://", "http://"):
        made.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=retry))
    # Identity: the bytes on disk are to be those of the server's file, and their number the Content-Length.
    made.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    return made


def fetch(http: requests.Session, url: str, target: Path, *, may_change: Callable[[dt.date], bool], received: Received) -> bool:
    """Makes ``target`` the file at ``url``; returns whether it was transferred.

    Args:
        may_change: whether a copy that was fetched on this date may be out of date; if so the server is asked, and not sent the file again
            if it is the same. When the server cannot be reached, the copy is used and a warning logged.

    Raises:
        Absent: the server answers 404.
        SourceError: the file cannot be fetched whole.
    """
    note = _read_note(target)
    if note is not None and not may_change(dt.date.fromisoformat(note.fetched)):
        return False
    conditions = {}
    if note is not None:
        conditions = {k: v for k, v in (("If-None-Match", note.etag), ("If-Modified-Since", note.last_modified)) if v}
    try:
        with contextlib.closing(http.get(url, headers=conditions, stream=True, timeout=_TIMEOUT)) as response:
            if response.status_code == requests.codes.not_modified and note is not None:
                return False
            if response.status_code == requests.codes.not_found:
                raise Absent(f"{url}: the server has no such file (404)")
            if response.status_code == requests.codes.ok:
                _save(response, url, target, received)
                return True
            problem = f"the server answers {response.status_code} {response.reason}, also after waiting"
            cause: Exception | None = None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        problem, cause = f"{error}", error
    if note is not None:
        _log.warning("source_not_revalidated", url=url, used=target.name, fetched=note.fetched, problem=problem)
        return False
    raise SourceError(f"{url}: cannot be fetched: {problem}. What was fetched before is kept, so try again later") from cause


def _save(response: requests.Response, url: str, target: Path, received: Received) -> None:
    declared = response.headers.get("Content-Length")
    if declared is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise SourceError(f"{url}: the server does not say how long the file is, so that a cut-off one could not be told from a whole one")
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        size = 0
        with part.open("wb") as file:
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                size += len(chunk)
                received(size, float(declared or size))
            file.flush()
            os.fsync(file.fileno())
        if declared is not None and size != int(declared):
            raise SourceError(f"{url}: the transfer broke off after {size:,} of {int(declared):,} bytes; try again")
        headers = response.headers
        note = _Note(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), dt.datetime.now(dt.UTC).date().isoformat())
        # The old note goes first and the new one comes last: a kill in between leaves a file without a note, which is fetched again.
        _note_path(target).unlink(missing_ok=True)
        part.replace(target)
        _note_path(target).write_text(json.dumps(asdict(note)), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"{target}: cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _note_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.json")


def _read_note(target: Path) -> _Note | None:
    """The note of a file that is there whole; None if either is missing, as after a kill between the two, or unreadable."""
    try:
        return _Note(**json.loads(_note_path(target).read_text(encoding="utf-8"))) if target.is_file() else None
    except (OSError, ValueError, TypeError):
        return None
