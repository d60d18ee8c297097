"""Where checkpoints are kept is a folder or a bucket, and anything else is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.google.storage_checkpoints import StorageCheckpoints
from thundercast.adapters.places import BadPlace, Bucket, open_checkpoints, open_manifests, parse


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("gs://a-bucket", Bucket("a-bucket", "")),
        ("gs://a-bucket/", Bucket("a-bucket", "")),
        ("gs://a-bucket/some/prefix/", Bucket("a-bucket", "some/prefix")),
        (".thundercast/checkpoints", Path(".thundercast/checkpoints")),
        ("/var/lib/thundercast", Path("/var/lib/thundercast")),
    ],
)
def test_a_place_is_a_folder_or_a_bucket(text: str, place: Path | Bucket) -> None:
    assert parse(text) == place


@pytest.mark.parametrize(
    "text",
    ["", "  ", "gs://", "gs:///prefix", "gs://A_Bucket/x", "gs://b/../x", "gs://bucket/a//b", "gs:/bucket", "s3://bucket/x", "https://x/y"],
)
def test_what_is_no_place_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadPlace, match="is not a place for checkpoints"):
        parse(text)


def test_opening_a_place_touches_nothing(tmp_path: Path) -> None:
    assert isinstance(open_checkpoints(str(tmp_path / "place"), "trainer"), FolderCheckpoints)
    assert isinstance(open_checkpoints("gs://a-bucket/prefix", "trainer"), StorageCheckpoints)
    assert isinstance(open_manifests("gs://a-bucket"), StorageCheckpoints)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("component", ["", "..", "a/b", "Trainer"])
def test_a_component_is_one_plain_name(component: str) -> None:
    with pytest.raises(BadPlace, match="not the name of a component"):
        open_checkpoints("somewhere", component)
