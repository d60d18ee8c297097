"""The pages and their frame. Streamlit runs this file for each viewer; what is read is shared among them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import streamlit as st
from streamlit.navigation.page import Page

from thundercast.adapters import allocation
from thundercast_dashboard import address
from thundercast_dashboard.feed import Feed
from thundercast_dashboard.palette import DARK, LIGHT, Palette
from thundercast_dashboard.store import Store, named
from thundercast_dashboard.texts import LANGUAGES, Texts, preferred
from thundercast_dashboard.views import about, frame, now, skill, station, stream
from thundercast_dashboard.views.context import Context

REFRESH: Final = 2.0
"""Seconds between two looks at the store."""

PAGES: Final[Mapping[str, Callable[[Context], None]]] = {
    "now": now.page,
    "skill": skill.page,
    "stream": stream.page,
    "station": station.page,
    "about": about.page,
}
"""What each page shows, by the last part of its address; the first is at the root."""

_STYLE: Final = Path(__file__).with_name("assets") / "style.css"


def store_name() -> str:
    """Which store is shown: ``--store NAME`` after ``--``, or the variable THUNDERCAST_STORE."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default=os.environ.get("THUNDERCAST_STORE", "thundercast.db"))
    return str(parser.parse_args(sys.argv[1:]).store)


@st.cache_resource(show_spinner=False)
def shared(name: str) -> tuple[Store, Feed]:
    """The store, and the one reading of it in this process."""
    # Each drawing is a thread of its own, and what it frees would be kept, by malloc as by Arrow's own pool.
    allocation.few_arenas()
    pa.set_memory_pool(pa.system_memory_pool())
    allocation.tidying()
    store = named(name)
    return store, Feed(store.open(), every=store.every)


def language() -> str:
    """The viewer's choice (``?lang=``), else the browser's language."""
    chosen = st.session_state.get("lang") or st.query_params.get("lang")
    return chosen if chosen in LANGUAGES else preferred(st.context.locale)


def styled(palette: Palette) -> None:
    """The style in the colours of the theme."""
    colours = {"said": palette.said, "happened": palette.happened, "baseline": palette.baseline, "good": palette.good, "bad": palette.bad}
    colours["text"] = palette.streamlit["textColor"]
    variables = "".join(f"--tc-{name}: {value};" for name, value in colours.items())
    st.html(f"<style>:root {{{variables}}}\n{_STYLE.read_text(encoding='utf-8')}</style>")


def shown(page: str, texts: Texts, palette: Palette, pages: Mapping[str, Page]) -> Callable[[], None]:
    """What Streamlit runs for a page."""

    @st.fragment(run_every=REFRESH)
    def live() -> None:
        store, feed = shared(store_name())
        context = Context(texts, palette, store, feed, feed.snapshot(address.wanted("run")), now=time.time(), pages=pages)
        if frame.begins(context):
            PAGES[page](context)

    def whole() -> None:
        frame.title(page, texts)
        live()

    return whole


def main() -> None:
    """The whole of it."""
    texts = Texts(language())
    palette = DARK if st.context.theme.type == "dark" else LIGHT
    pages: dict[str, Page] = {}
    for page in PAGES:
        pages[page] = st.Page(shown(page, texts, palette, pages), title=texts(f"page.{page}"), url_path=page, default=not pages)
    chosen = st.navigation(list(pages.values()), position="hidden")
    name = texts("page.title")
    st.set_page_config(page_title=f"{chosen.title} \N{MIDDLE DOT} {name}", page_icon="⚡", layout="wide", initial_sidebar_state="collapsed")
    styled(palette)
    frame.top(list(pages.values()), chosen, texts, palette)
    chosen.run()


main()
