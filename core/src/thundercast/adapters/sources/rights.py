"""The notices that go with NOAA's data."""

from __future__ import annotations

from typing import Final

UNITED_STATES: Final = (
    "NOAA/NCEI Global Surface Summary of the Day, stations of the USA: a work of the US government, in the public domain in the USA."
)

WORLD: Final = (
    "NOAA/NCEI Global Surface Summary of the Day. The data of stations outside the USA came through WMO Resolution 40 (Cg-XII): they are "
    "intended for free and unrestricted use in research, education, and other non-commercial activities. However, for non-U.S. locations' "
    "data, the data or any derived product shall not be provided to other users or be used for the re-export of commercial services."
)
"""The second half is the wording of NCEI's readme, which asks that it be passed on with the data."""
