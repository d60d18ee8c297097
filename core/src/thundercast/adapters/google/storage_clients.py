"""Cloud Storage: the client, how long it is waited for, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from thundercast.adapters.google import errors
from thundercast.adapters.places import Bucket, parse
from thundercast.adapters.settings import CloudSettings
from thundercast.stage.protocols import Unavailable

ROLE: Final = "roles/storage.objectUser"
ADMIN: Final = "roles/storage.admin"
SMALL: Final[dict[str, Any]] = {"timeout": (5.0, 5.0), "retry": DEFAULT_RETRY.with_timeout(5.0)}
"""A request: seconds to connect and without a byte, and within which it is tried again."""
LARGE: Final[dict[str, Any]] = {"timeout": (5.0, 30.0), "retry": DEFAULT_RETRY.with_timeout(10.0)}
"""The same to upload a checkpoint's body, which is answered at its end. The stage loop comes back anyway, and shall not stand still."""


def storage_client(project: str | None = None) -> storage.Client:
    """A client with the environment's credentials; of the stand-in where `STORAGE_EMULATOR_HOST` is set.

    Args:
        project: in which buckets are made; objects need none.

    Raises:
        google.auth.exceptions.DefaultCredentialsError: there are no credentials.
    """
    return storage.Client(project=project)


@contextmanager
def answering(bucket: str, name: str, doing: str) -> Iterator[None]:
    """`errors.answering` for an object, or for the bucket if the name is empty."""
    resource = f"object gs://{bucket}/{name}" if name else f"bucket gs://{bucket}"
    told: dict[str, Any] = {"role": ROLE, "mend": "`thundercast bootstrap` makes it"}
    try:
        with errors.answering(errors.STORAGE, resource, doing, **told):
            try:
                yield
            except exceptions.NotFound as error:
                # An object that may be missing is its reader's affair: what is missing here is the bucket.
                with errors.answering(errors.STORAGE, f"bucket gs://{bucket}", doing, **told):
                    raise error
    except DataCorruption as error:
        raise Unavailable(f"{resource} could not {doing}: it was damaged on its way: {error}") from error


def ensure_bucket(settings: CloudSettings, *, labels: Mapping[str, str] | None = None) -> Literal["made", "there"] | None:
    """Makes the bucket of the checkpoints if it is not there; None if they are in a folder. An existing one is left as it is.

    Raises:
        places.BadPlace: the setting is no place.
        Unavailable: it is not there and cannot be made; names the reason.
    """
    place = parse(settings.checkpoints)
    if not isinstance(place, Bucket):
        return None
    with errors.answering(
        errors.STORAGE, f"bucket gs://{place.name}", "be made", role=ADMIN, mend=f"project {settings.project} must exist"
    ):
        client = storage_client(settings.project)
        if _there(client, place.name):
            return "there"
        bucket = client.bucket(place.name)
        bucket.labels = dict(labels or {})
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        bucket.iam_configuration.public_access_prevention = "enforced"
        # Every checkpoint replaces one, and by default what was deleted is kept, and paid for, another seven days.
        bucket.soft_delete_policy.retention_duration_seconds = 0
        try:
            client.create_bucket(bucket, location=settings.location, **SMALL)
        except exceptions.Conflict:
            # Somebody else was quicker, or the first answer was lost.
            return "there"
    return "made"


def _there(client: storage.Client, name: str) -> bool:
    try:
        client.get_bucket(name, **SMALL)
    except exceptions.NotFound:
        return False
    except exceptions.Forbidden as error:
        raise Unavailable(
            f"bucket gs://{name} may not be looked at: it belongs to another project (all the world shares the names of buckets; "
            f"choose another for the setting checkpoints), or this identity needs {ADMIN} ({' '.join(str(error.message).split())})"
        ) from error
    return True
