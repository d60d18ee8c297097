"""A sign of life of the store, for readiness."""

from __future__ import annotations

from functools import cached_property

from google.cloud import bigquery

from thundercast.adapters.google.bigquery_clients import PATIENCE, rest_client
from thundercast.adapters.google.bigquery_schema import MEND, ROLE, ensure_tables
from thundercast.adapters.google.errors import BIGQUERY, answering
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.tables import MODEL_METRICS


class StoreCheck:
    """Asks for one table each time.

    Args:
        make: make and extend the tables at the first call that passes.
    """

    def __init__(self, settings: CloudSettings, *, make: bool) -> None:
        self._settings = settings
        self._made = not make

    @cached_property
    def _client(self) -> bigquery.Client:
        return rest_client(self._settings.project, location=self._settings.location)

    def __call__(self) -> None:
        """Passes if the store answers.

        Raises:
            Unavailable: it does not, or something is missing.
            StoreMismatch: a table is there that cannot be used.
        """
        if not self._made:
            ensure_tables(self._settings)
            self._made = True
        name = f"{self._settings.project}.{self._settings.dataset}.{MODEL_METRICS.name}"
        with answering(BIGQUERY, f"table {name}", "be looked up", role=ROLE, mend=MEND):
            self._client.get_table(name, timeout=PATIENCE, retry=bigquery.DEFAULT_RETRY.with_timeout(PATIENCE))
