"""Clients of BigQuery: REST for definitions, gRPC for rows; Google's service, or a stand-in where the variables name one."""

from __future__ import annotations

import os
from typing import Any, Final

import grpc
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from thundercast.adapters.google.errors import BIGQUERY, BIGQUERY_STORAGE
from thundercast.stage.protocols import Unavailable

PATIENCE: Final = 5.0
"""Seconds to wait for an answer about one thing; whoever asks may ask again."""

# Google's transports lift gRPC's 4 MB limits; a channel that is made here has to do so itself.
_OPTIONS: Final = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


def rest_client(project: str, *, location: str | None = None, endpoint: str | None = None) -> bigquery.Client:
    """A client of the REST side.

    Args:
        project: where jobs run and are billed, and datasets are made.
        location: of datasets and jobs.
        endpoint: URL of another place than Google's, such as a private endpoint; the emulator's variable goes before it.
    """
    stand_in = os.environ.get(BIGQUERY.emulator)
    options: dict[str, Any] = {"project": project, "location": location}
    if stand_in:
        if "://" not in stand_in:
            raise Unavailable(f"{BIGQUERY.emulator}={stand_in} is not a URL: write http://HOST:PORT")
        options |= {"credentials": AnonymousCredentials(), "client_options": ClientOptions(api_endpoint=stand_in)}
    elif endpoint:
        options["client_options"] = ClientOptions(api_endpoint=endpoint)
    return bigquery.Client(**options)


def write_client(*, endpoint: str | None = None) -> BigQueryWriteClient:
    """A client of the Storage Write API; ``endpoint`` is HOST or HOST:PORT."""
    address = _stand_in()
    if address:
        return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=grpc.insecure_channel(address, options=_OPTIONS)))
    return BigQueryWriteClient(client_options=ClientOptions(api_endpoint=endpoint) if endpoint else None)


def read_client(*, endpoint: str | None = None) -> BigQueryReadClient:
    """A client of the Storage Read API; ``endpoint`` is HOST or HOST:PORT."""
    address = _stand_in()
    if address:
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=grpc.insecure_channel(address, options=_OPTIONS)))
    return BigQueryReadClient(client_options=ClientOptions(api_endpoint=endpoint) if endpoint else None)


def _stand_in() -> str | None:
    address = os.environ.get(BIGQUERY_STORAGE.emulator)
    # Without it definitions would go to the stand-in, and rows to Google.
    if not address and os.environ.get(BIGQUERY.emulator):
        raise Unavailable(
            f"{BIGQUERY.emulator} is set but {BIGQUERY_STORAGE.emulator} is not: set it to the emulator's gRPC address, HOST:PORT"
        )
    return address
