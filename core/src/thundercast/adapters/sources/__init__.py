"""Sources of raw rows: where station-days come from."""

from thundercast.adapters.sources.base import Progress, Source, SourceDate, SourceError, SourceInfo
from thundercast.adapters.sources.catalogue import Entry, catalogue, open_source

__all__ = ["Entry", "Progress", "Source", "SourceDate", "SourceError", "SourceInfo", "catalogue", "open_source"]
