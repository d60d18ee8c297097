"""Dead letters: what could not be used, with the reason and the original, so that nothing is lost silently."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

REASONS: Final[dict[str, str]] = {
    # a row
    "bad_station": "the station id is not eleven characters 0-9A-Z",
    "bad_date": "the date cannot be read",
    "wrong_date": "the row is of another date than its batch",
    "wrong_shard": "the station belongs to another shard than its batch",
    "duplicate": "the same station-day was there already",
    "temperature_out_of_range": "a temperature is outside -90 to 60 degC (dew point -100 to 50)",
    "dew_point_above_temperature": "the dew point is above the temperature beyond rounding",
    "min_above_max": "the minimum temperature is above the maximum",
    "value_out_of_range": "a value is neither physically possible nor a known sentinel",
    "bad_value": "a field is not of its type",
    "bad_label": "the thunder digit is not 0 or 1",
    # a batch or message
    "undecodable": "the message cannot be decoded",
    "unaddressed": "the message has no readable run_id and seq",
    "late_after_skip": "the batch came after its number was given up",
    "superseded": "the batch belongs to a run that a newer run replaced",
    "stale_run": "the batch belongs to an older run",
    "undelivered": "the broker gave the message up after too many deliveries",
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One row or message that was set aside.

    Attributes:
        reason: a key of `REASONS`.
        detail: what exactly was wrong, for a person.
        stage: source, cleaner, trainer.
        station: empty for a whole message.
        original: the row as it came, or the message's attributes.
        payload: the message's bytes, if a whole message is set aside.
    """

    reason: str
    detail: str
    stage: str
    run_id: str = ""
    seq: int = -1
    station: str = ""
    date: str = ""
    original: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    @property
    def original_json(self) -> str:
        """The original as strict JSON: what JSON has no form for (NaN, infinity, dates, bytes) is text."""
        return json.dumps(_strict(self.original), sort_keys=True, default=str, allow_nan=False)

    @property
    def payload_hash(self) -> str:
        """16 hex of the SHA-256 over original and payload: part of the key in the table."""
        return hashlib.sha256(self.original_json.encode() + b"\0" + self.payload).hexdigest()[:16]


def _strict(value: Any) -> Any:
    """The value with every float that is no number as its text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value
