"""The cleaner: `gsod.raw/1` rows in, `gsod.clean/1` rows and dead letters out, a few flat arrays per station in between."""

from thundercast.domain.cleaning.cleaner import Cleaned, Cleaner
from thundercast.domain.cleaning.follower import Follower

__all__ = ["Cleaned", "Cleaner", "Follower"]
