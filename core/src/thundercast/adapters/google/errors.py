"""What Google's clients complain of, in one line for a person: which thing, what is wrong with it, and what mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from thundercast.stage.protocols import Unavailable

_WORDS: Final = 300
"""Longest quotation of a service's own words."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of Google Cloud.

    Attributes:
        name: for people.
        emulator: the variable that makes its clients talk to a stand-in.
    """

    name: str
    emulator: str

    @property
    def where(self) -> str:
        """Whom its clients talk to."""
        if address := os.environ.get(self.emulator):
            return f"the emulator at {address} (variable {self.emulator})"
        return self.name


PUBSUB: Final = Service("Pub/Sub", "PUBSUB_EMULATOR_HOST")
BIGQUERY: Final = Service("BigQuery", "BIGQUERY_EMULATOR_HOST")
BIGQUERY_STORAGE: Final = Service("BigQuery Storage", "BIGQUERY_STORAGE_EMULATOR_HOST")
STORAGE: Final = Service("Cloud Storage", "STORAGE_EMULATOR_HOST")


@contextmanager
def answering(service: Service, resource: str, doing: str, *, role: str, mend: str) -> Iterator[None]:
    """Has a service's complaints said in our own terms.

    Conflicts and unmet preconditions (409, 412) pass as they are: they are answers, not failures.

    Args:
        resource: the full name of what is asked, with its kind: ``topic projects/p/topics/t``.
        doing: what was tried, as it goes on from "could not": ``be pulled from``.
        role: the role that allows it.
        mend: what makes the thing where it does not exist, as a clause: "`thundercast bootstrap` makes it".

    Raises:
        Unavailable: with one line.
    """
    try:
        yield
    except (api.GoogleAPIError, auth.GoogleAuthError, requests.RequestException) as error:
        line = explained(error, service, resource, doing, role=role, mend=mend)
        if line is None:
            raise
        raise Unavailable(line) from error


def explained(error: Exception, service: Service, resource: str, doing: str, *, role: str, mend: str) -> str | None:
    """The line for an error, with the arguments of `answering`; None for what is an answer rather than a failure."""
    cause = error.cause if isinstance(error, api.RetryError) and error.cause is not None else error
    words = _words(cause)
    match cause:
        case api.NotFound():
            return (
                f"{resource} does not exist: {mend}. Or is the project another one? It is set by THUNDERCAST_PROJECT, "
                f"else by GOOGLE_CLOUD_PROJECT ({service.name} says: {words})"
            )
        case api.Forbidden():
            return f"{resource} could not {doing}: permission denied; grant this identity {role} there ({service.name} says: {words})"
        case api.Unauthorized() | auth.RefreshError() | auth.DefaultCredentialsError():
            return (
                f"{resource} could not {doing}: no valid credentials; `gcloud auth application-default login` makes some, or "
                f"GOOGLE_APPLICATION_CREDENTIALS names a file with them, or {service.emulator} a stand-in ({words})"
            )
        case api.PreconditionFailed() | api.Conflict() if not isinstance(cause, api.Aborted):
            return None
        case api.TooManyRequests():
            return f"{resource} could not {doing}: {service.where} asks for patience: {words}"
        case api.ClientError() if not isinstance(cause, api.Aborted | api.Cancelled):
            return f"{resource} could not {doing}: {service.where} refuses: {words}"
        case api.ServiceUnavailable() | api.GatewayTimeout() | auth.TransportError() | requests.RequestException():
            return f"{resource} could not {doing}: {_silence(service)} ({words})"
        case _:
            return f"{resource} could not {doing}: {service.where} failed: {words}"


def _silence(service: Service) -> str:
    if os.environ.get(service.emulator):
        return f"{service.where} does not answer; start it, or unset the variable"
    return f"{service.name} does not answer; can it be reached from here?"


def _words(error: Exception) -> str:
    """The service's own words on one line; they may be empty."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    line = " ".join(str(text).split())
    return line if len(line) <= _WORDS else f"{line[:_WORDS]}…"
