"""Batches: one date, one shard; their attributes; and their form on the wire."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pyarrow as pa

from thundercast.domain import runs, schema
from thundercast.domain.deadletters import DeadLetter

ARROW: Final = "application/vnd.apache.arrow.stream"
JSON: Final = "application/json"
MAX_BYTES: Final = 10_000_000
"""Pub/Sub's limit for one message's data and attributes."""

OUTCOMES: Final = ("ok", "empty", "rejected", "undecodable", "skipped")
_SEQ_DIGITS: Final = 18  # what fits an int64, as the store keeps it
ZSTD: Final = "zstd"
# One batch is worked on by one thread: whoever wants more cores takes several batches at a time.
_PLAIN, _READ = pa.ipc.IpcWriteOptions(use_threads=False), pa.ipc.IpcReadOptions(use_threads=False)
# Compressing a few rows costs more than it saves.
_WORTH_COMPRESSING: Final = 64  # rows
_PLAIN_BYTES: Final = 200_000_000
"""Longest stream that a message may unfold to: what fits 10 MB is far shorter, unless it is meant to hurt."""
_FLOAT32_MAX: Final = 3.4028234663852886e38
_SCHEMAS: Final = {schema.RAW: schema.RAW_SCHEMA, schema.CLEAN: schema.CLEAN_SCHEMA}


class TooLarge(ValueError):
    """A batch is over what Pub/Sub takes; says what to do."""


class Undecodable(ValueError):
    """A message whose address (run_id, seq) is known but whose rows cannot be read."""


class Unaddressed(ValueError):
    """A message without readable run_id and seq: it has no successor in the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What a message says of itself beside its data; all of it is text on the wire.

    ``counts`` are the cleaner's: ``rows_in``, ``rejected_<reason>``, ``imputed``.
    """

    run_id: str
    fingerprint: str
    seq: int
    date: dt.date
    shard: int
    shards: int
    start_date: dt.date
    source: str
    synthetic: bool
    schema: str
    content_type: str = ARROW
    last: bool = False
    published_at: str = ""
    outcome: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def message_id(self) -> str:
        return f"{self.run_id}/{self.seq}"

    @classmethod
    def of(cls, run: runs.Run, seq: int, kind: str) -> Attributes:
        """The attributes of batch ``seq`` of a run."""
        return cls(
            run_id=run.run_id, fingerprint=run.fingerprint, seq=seq, date=run.date_of(seq), shard=seq % run.shards, shards=run.shards,
            start_date=run.start, source=run.source, synthetic=run.synthetic, schema=kind, last=seq == run.batches - 1,
        )  # fmt: skip

    def cleaned(self, outcome: str, counts: Mapping[str, int]) -> Attributes:
        """The attributes of this raw batch's clean successor."""
        return replace(self, schema=schema.CLEAN, content_type=ARROW, outcome=outcome, counts=dict(counts), published_at="")

    def to_text(self) -> dict[str, str]:
        text = {
            "run_id": self.run_id, "fingerprint": self.fingerprint, "seq": str(self.seq), "date": self.date.isoformat(),
            "shard": str(self.shard), "shards": str(self.shards), "start_date": self.start_date.isoformat(), "source": self.source,
            "synthetic": str(self.synthetic).lower(), "schema": self.schema, "content_type": self.content_type,
            "message_id": self.message_id, "last": str(self.last).lower(),
        }  # fmt: skip
        if self.published_at:
            text["published_at"] = self.published_at
        if self.outcome:
            text["outcome"] = self.outcome
            text["counts"] = json.dumps(dict(self.counts), sort_keys=True, separators=(",", ":"))
        return text

    @classmethod
    def from_text(cls, text: Mapping[str, str]) -> Attributes:
        """Reads a message's attributes.

        Raises:
            Unaddressed: run_id or seq is missing or not readable.
            Undecodable: another attribute is missing, not readable, or contradicts seq.
        """
        run_id, seq_text = text.get("run_id", ""), text.get("seq", "")
        if not runs.valid_run_id(run_id) or not (seq_text.isascii() and seq_text.isdigit() and len(seq_text) <= _SEQ_DIGITS):
            raise Unaddressed(f"the message has no readable run_id and seq: run_id={run_id[:40]!r}, seq={seq_text[:40]!r}")
        try:
            attributes = cls(
                run_id=run_id, fingerprint=text["fingerprint"], seq=int(seq_text), date=dt.date.fromisoformat(text["date"]),
                shard=int(text["shard"]), shards=int(text["shards"]), start_date=dt.date.fromisoformat(text["start_date"]),
                source=text["source"], synthetic=_truth(text["synthetic"]), schema=text["schema"],
                content_type=text.get("content_type", ARROW), last=_truth(text.get("last", "false")),
                published_at=text.get("published_at", ""), outcome=text.get("outcome", ""),
                counts={k: int(v) for k, v in json.loads(text.get("counts", "{}")).items()},
            )  # fmt: skip
        except KeyError as error:
            raise Undecodable(f"{run_id}/{seq_text}: the message has no attribute {error}") from error
        except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            raise Undecodable(f"{run_id}/{seq_text}: an attribute cannot be read: {error}") from error
        if attributes.shards < 1 or attributes.seq % attributes.shards != attributes.shard:
            raise Undecodable(f"{attributes.message_id}: shard {attributes.shard} of {attributes.shards} contradicts the number")
        if (attributes.date - attributes.start_date).days != attributes.seq // attributes.shards:
            raise Undecodable(f"{attributes.message_id}: date {attributes.date} contradicts the number")
        if attributes.outcome and attributes.outcome not in OUTCOMES:
            raise Undecodable(f"{attributes.message_id}: outcome {attributes.outcome!r} is none of {OUTCOMES}")
        return attributes


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


@dataclass(frozen=True, slots=True)
class Message:
    """A batch on the wire."""

    data: bytes
    attributes: Mapping[str, str]

    @property
    def size(self) -> int:
        return len(self.data) + sum(len(k.encode()) + len(v.encode()) for k, v in self.attributes.items())


def encode(rows: pa.RecordBatch, attributes: Attributes) -> Message:
    """A batch as a message: an Arrow IPC stream, in one zstd frame if there are more than a few rows.

    The attribute ``content_encoding`` says so, and ``content_size`` how many bytes the stream has. (Arrow's own compression, of
    each buffer, takes several times as long for the hundred buffers of a batch, and more room.)

    Raises:
        ValueError: the rows have another schema than the attributes say, or the message would be over Pub/Sub's limit.
    """
    wanted = _SCHEMAS[attributes.schema]
    if not rows.schema.equals(wanted):
        if rows.schema.names != wanted.names:
            raise ValueError(f"rows with columns {rows.schema.names} are not {attributes.schema}")
        if rows.schema.types != wanted.types:
            raise ValueError(f"rows of types {rows.schema.types} are not {attributes.schema}")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, wanted, options=_PLAIN) as writer:
        writer.write_batch(_under(rows, wanted))
    plain, text = sink.getvalue(), attributes.to_text()
    if rows.num_rows >= _WORTH_COMPRESSING:
        data = pa.compress(plain, codec=ZSTD, asbytes=True)
        text |= {"content_encoding": ZSTD, "content_size": str(plain.size)}
    else:
        data = plain.to_pybytes()
    message = Message(data, text)
    if message.size > MAX_BYTES:
        raise TooLarge(
            f"batch {attributes.message_id} has {message.size:,} bytes, more than Pub/Sub's {MAX_BYTES:,}: "
            f"raise the number of shards (now {attributes.shards}) and start a new run"
        )
    return message


def decode(message: Message, attributes: Attributes, *, stage: str = "cleaner") -> tuple[pa.RecordBatch, list[DeadLetter]]:
    """The rows of a message, and the rows of a JSON message that are not of the schema's types.

    Raises:
        Undecodable: the data is not what content_type and schema say.
    """
    wanted = _SCHEMAS.get(attributes.schema)
    if wanted is None:
        raise Undecodable(f"{attributes.message_id}: schema {attributes.schema!r} is none of {sorted(_SCHEMAS)}")
    if attributes.content_type == ARROW:
        return _from_arrow(_plain(message, attributes), attributes, wanted), []
    if attributes.content_type == JSON:
        return _from_json(message.data, attributes, wanted, stage)
    raise Undecodable(f"{attributes.message_id}: content_type {attributes.content_type!r} is none of {[ARROW, JSON]}")


def _plain(message: Message, attributes: Attributes) -> bytes | pa.Buffer:
    """The data without its ``content_encoding``."""
    encoding, size = message.attributes.get("content_encoding", ""), message.attributes.get("content_size", "")
    if not encoding:
        return message.data
    if encoding != ZSTD:
        raise Undecodable(f"{attributes.message_id}: content_encoding {encoding!r} is not {ZSTD!r}")
    if not (size.isascii() and size.isdigit() and len(size) < 10 and 0 < int(size) <= _PLAIN_BYTES):
        raise Undecodable(f"{attributes.message_id}: content_size {size[:40]!r} is not a number of bytes up to {_PLAIN_BYTES:,}")
    try:
        return pa.decompress(message.data, decompressed_size=int(size), codec=ZSTD)
    except (pa.ArrowException, OSError) as error:
        raise Undecodable(f"{attributes.message_id}: not a zstd frame of {size} bytes: {error}") from error


def _from_arrow(data: bytes | pa.Buffer, attributes: Attributes, wanted: pa.Schema) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(data, options=_READ) as reader:
            found, batches = reader.schema, list(reader)
        same = found.equals(wanted) or (found.names == wanted.names and found.types == wanted.types)
        # Before anything reads the values: an offset that lies would lead outside of the buffers.
        for part in batches:
            part.validate(full=True)
        rows = batches[0] if len(batches) == 1 else pa.concat_batches(batches) if batches else None
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise Undecodable(f"{attributes.message_id}: not an Arrow stream: {error}") from error
    if not same:
        raise Undecodable(f"{attributes.message_id}: the columns are not those of {attributes.schema}")
    return pa.RecordBatch.from_pylist([], schema=wanted) if rows is None else _under(rows, wanted)


def _under(rows: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    """The rows with our names of fields, nullability and metadata, which others may have left out."""
    return rows if rows.schema.equals(wanted, check_metadata=True) else pa.RecordBatch.from_arrays(rows.columns, schema=wanted)


def _from_json(data: bytes, attributes: Attributes, wanted: pa.Schema, stage: str) -> tuple[pa.RecordBatch, list[DeadLetter]]:
    try:
        items: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"{attributes.message_id}: not JSON: {error}") from error
    if not isinstance(items, list):
        raise Undecodable(f"{attributes.message_id}: the JSON is not a list of rows")
    good: list[dict[str, Any]] = []
    bad: list[DeadLetter] = []
    for item in items:
        try:
            if not isinstance(item, dict):
                raise ValueError("a row is not an object")
            good.append({f.name: _typed(_named(item, f.name), f) for f in wanted})
        except ValueError as error:
            row = item if isinstance(item, dict) else {"value": item}
            station = str(_named(row, "station") or "").encode("ascii", "replace").decode()
            date = attributes.date.isoformat()
            bad.append(DeadLetter("bad_value", str(error), stage, attributes.run_id, attributes.seq, station, date, row))
    good.sort(key=lambda row: str(row["station"]))
    return pa.RecordBatch.from_pylist(good, schema=wanted), bad


def _named(item: Mapping[str, Any], name: str) -> Any:
    """A field of a row; BigQuery's rows have ``stn`` and ``wban`` but no ``station``."""
    if name == "station" and item.get("station") is None and "stn" in item and "wban" in item:
        return f"{item['stn']}{item['wban']}"
    return item.get(name)


def _typed(value: Any, kind: pa.Field) -> Any:
    if value is None or value == "":
        if pa.types.is_boolean(kind.type) and kind.name != "thunder":
            raise ValueError(f"{kind.name} is missing")
        return None if not pa.types.is_string(kind.type) else value
    try:
        if pa.types.is_boolean(kind.type):
            if isinstance(value, bool):
                return value
            raise ValueError("not true or false")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("not a text or a number")
        if pa.types.is_date32(kind.type):
            return dt.date.fromisoformat(str(value))
        if pa.types.is_string(kind.type):
            text = str(value)
            text.encode()  # JSON can spell half a character, UTF-8 cannot
            return text
        if isinstance(value, str) and "_" in value:
            raise ValueError("Python's digit groups are not data")
        if pa.types.is_integer(kind.type):
            number = int(value)
            if number != value and isinstance(value, float):
                raise ValueError("not a whole number")
            pa.scalar(number, kind.type)
            return number
        real = float(value)
        if not math.isfinite(real) or (pa.types.is_float32(kind.type) and abs(real) > _FLOAT32_MAX):
            raise ValueError("not finite")
        return real
    except (ValueError, TypeError, OverflowError, pa.ArrowInvalid) as error:
        raise ValueError(f"{kind.name}={value!r} is not a {kind.type}") from error
