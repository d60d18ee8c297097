"""Compiles the catalogues of texts: when the distribution is built or installed from its folder, and by `make catalogues`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def compile_all(folder: Path) -> None:
    """Makes the ``.mo`` file beside each ``.po`` file of the distribution in a folder."""
    for source in sorted((folder / "src/thundercast_dashboard/locales").glob("*/LC_MESSAGES/*.po")):
        with source.open("rb") as text:
            catalogue = read_po(text, abort_invalid=True)
        with source.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, catalogue)


class CatalogueHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Before the files are collected."""
        compile_all(Path(self.root))


if __name__ == "__main__":
    compile_all(Path(__file__).parent)
