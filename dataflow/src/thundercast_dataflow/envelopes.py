"""Messages as bytes: between the pipeline's transforms, and while they wait for their turn.

The form is the one of every state (`domain.arrays`), so that what waits in a job's state is read by the version that updates the job.
"""

from __future__ import annotations

import numpy as np

from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Delivery


def to_bytes(delivery: Delivery) -> bytes:
    """A message with the time at which Pub/Sub took it."""
    message = delivery.message
    # What Pub/Sub delivers is in no order; equal messages have equal bytes.
    attributes = dict(sorted(message.attributes.items()))
    return pack({"data": np.frombuffer(message.data, np.uint8)}, {"attributes": attributes, "published": delivery.published})


def from_bytes(data: bytes) -> Delivery:
    """The inverse of `to_bytes`. Its token is empty: Beam acks.

    Raises:
        BadState: the bytes are not a message.
    """
    arrays, meta = unpack(data)
    try:
        return Delivery(Message(arrays["data"].tobytes(), dict(meta["attributes"])), "", float(meta["published"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadState(f"a message that was held cannot be read: {type(error).__name__}: {error}") from error
