"""The reading side of a store: what viewers may ask of it, whatever holds the rows."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thundercast.domain.tables import Table


class StoreMissing(Exception):
    """There is no store yet: nothing has been written where it is looked for."""


class StoreMismatch(Exception):
    """What is there is not a store that this version can use; says which part differs and the way out."""


class StoreReader(Protocol):
    """Questions to a store. Every answer is an Arrow table, without rows where there is nothing to tell.

    All methods raise `StoreMissing` where no store has been made yet, `StoreMismatch` where it cannot be used, and
    `thundercast.stage.protocols.Unavailable` where it does not answer now.
    """

    def runs(self) -> pa.Table:
        """The rows of `tables.RUNS`, newest run first."""
        ...

    def status(self, run_id: str) -> pa.Table:
        """The rows of `tables.STATUS`: the last word of each component's instances, newest first."""
        ...

    def metrics(
        self,
        run_id: str,
        *,
        since: dt.datetime | None = None,
        scope: str | None = None,
        gate: str | None = None,
        task: str | None = None,
        model: str | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """A page of `tables.MODEL_METRICS`, in the order of writing.

        Args:
            since: the largest ``written_at`` of the pages before; None for the first page.
            limit: about how many rows a page may have. A page is never cut between rows of one ``written_at``, so it may be
                longer, and the next one starts where it ended.

        A row that was written again comes again, and a store may repeat rows of earlier pages: fold pages with `merged`.
        """
        ...

    def latest_date(self, run_id: str, *, task: str | None = None, model: str | None = None) -> dt.date | None:
        """The latest date for which there are predictions."""
        ...

    def predictions(self, run_id: str, date: dt.date, *, task: str, model: str) -> pa.Table:
        """The predictions for a date as `PREDICTIONS_ON_MAP`, by station.

        Place and country are those of the row that the prediction was made from; the label is the one known at the prediction,
        else that of the station's row of the date; each null where it is not known.
        """
        ...

    def outcomes(self, run_id: str, first: dt.date, last: dt.date, *, task: str, model: str) -> pa.Table:
        """The predictions for the dates from first to last as `OUTCOMES`, by date and station.

        Place and label are those of `predictions`.
        """
        ...

    def station_predictions(self, run_id: str, station: str) -> pa.Table:
        """The station's rows of `tables.PREDICTIONS`, by date, task and model; labels as they were known at the prediction."""
        ...

    def dead_letter_counts(self, run_id: str) -> pa.Table:
        """reason, count (int64) and last (when the newest was written), most frequent first."""
        ...

    def dead_letters(self, run_id: str, *, reason: str | None = None, limit: int = 100) -> pa.Table:
        """The newest rows of `tables.DEAD_LETTERS`, without the payload."""
        ...

    def dead_letter(self, run_id: str, payload_hash: str) -> pa.Table:
        """The rows of `tables.DEAD_LETTERS` with this hash, with the payload."""
        ...

    def gaps(self, run_id: str) -> pa.Table:
        """The rows of `tables.GAPS`, by seq."""
        ...

    def events(self, run_id: str) -> pa.Table:
        """The rows of `tables.MODEL_EVENTS`, by date."""
        ...

    def station_history(self, run_id: str, station: str) -> pa.Table:
        """The station's rows of `tables.OBSERVATIONS`, by date."""
        ...

    def close(self) -> None: ...


PREDICTIONS_ON_MAP = pa.schema(
    [
        pa.field("station", pa.string()),
        pa.field("probability", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("label", pa.int64()),
        pa.field("made_from", pa.date32()),
        pa.field("lat", pa.float64()),
        pa.field("lon", pa.float64()),
        pa.field("elev", pa.float64()),
        pa.field("country", pa.string()),
    ]
)

OUTCOMES = pa.schema([pa.field("date", pa.date32()), *[PREDICTIONS_ON_MAP.field(i) for i in range(len(PREDICTIONS_ON_MAP))]])


def merged(table: Table, old: pa.Table, new: pa.Table) -> pa.Table:
    """The rows of both, one per key: where keys are equal the one written last, and of equals the one of ``new``.

    >>> from thundercast.domain.tables import GAPS
    >>> page = pa.Table.from_pylist([{"run_id": "r", "seq": 3, "component": "cleaner", "shard": 3}], schema=GAPS.arrow)
    >>> merged(GAPS, page, page).num_rows
    1
    """
    if not new.num_rows:
        return old
    whole = pa.concat_tables([old, new]).combine_chunks()
    whole = whole.append_column("_at", pa.array(np.arange(whole.num_rows)))
    order = pc.sort_indices(
        whole, sort_keys=[(key, "ascending") for key in table.key] + [("written_at", "descending"), ("_at", "descending")]
    )
    ordered = whole.take(order)
    first = np.ones(ordered.num_rows, np.bool_)
    same = np.ones(ordered.num_rows - 1, np.bool_)
    for key in table.key:
        column = ordered.column(key).combine_chunks()
        same &= pc.fill_null(pc.equal(column[1:], column[:-1]), False).to_numpy(zero_copy_only=False)
    first[1:] = ~same
    kept = ordered.filter(pa.array(first))
    return kept.sort_by([("_at", "ascending")]).drop_columns(["_at"])
