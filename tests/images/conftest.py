"""The built images, each mounted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from images import containers


@pytest.fixture(scope="session")
def image() -> Iterator[Callable[[str], containers.Image]]:
    """The image of a part, by its name; skips where it cannot be had."""
    found: dict[str, containers.Image] = {}
    with ExitStack() as stack:

        def get(name: str) -> containers.Image:
            if name not in found:
                found[name] = stack.enter_context(containers.opened(name))
            return found[name]

        yield get
