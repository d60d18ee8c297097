"""The page. Streamlit runs this file for each viewer; what is read is shared among them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Final

import streamlit as st

from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast_dashboard.data import Feed
from thundercast_dashboard.markup import blank, bolt
from thundercast_dashboard.palette import DARK, LIGHT, Palette
from thundercast_dashboard.texts import LANGUAGES, Texts, preferred
from thundercast_dashboard.views import about, header, letters, map, skill, stream
from thundercast_dashboard.views.context import Context

REFRESH: Final = 2.0
"""Seconds between two looks at the store."""

_STYLE: Final = Path(__file__).with_name("assets") / "style.css"


def store_path() -> Path:
    """Where the store is: ``--store PATH`` after ``--``, or the variable THUNDERCAST_STORE."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default=os.environ.get("THUNDERCAST_STORE", "thundercast.db"))
    return Path(parser.parse_args(sys.argv[1:]).store)


@st.cache_resource(show_spinner=False)
def shared_feed(path: str) -> Feed:
    """The one reading of the store in this process."""
    return Feed(SqliteReader(Path(path)))


def language() -> str:
    """The viewer's choice (``?lang=``), else the browser's language."""
    chosen = st.session_state.get("lang") or st.query_params.get("lang")
    return chosen if chosen in LANGUAGES else preferred(st.context.locale)


def styled(palette: Palette) -> None:
    """The page's style in the colours of the theme."""
    colours = {"said": palette.said, "happened": palette.happened, "baseline": palette.baseline, "good": palette.good, "bad": palette.bad}
    variables = "".join(f"--tc-{name}: {value};" for name, value in colours.items())
    st.html(f"<style>:root {{{variables}}}\n{_STYLE.read_text(encoding='utf-8')}</style>")


@st.fragment(run_every=REFRESH)
def live(texts: Texts, palette: Palette, path: Path) -> None:
    """Everything that changes while the stream runs."""
    feed = shared_feed(str(path))
    context = Context(texts, palette, feed, feed.snapshot(), where=str(path), now=time.time())
    phase, run = context.snapshot.phase(context.now), context.snapshot.run
    if run is None or phase in ("missing", "mismatch", "empty"):
        about.nothing(context, phase)
        return
    header.source(context, run)
    stream.notices(context, phase)
    stream.stream(context, phase, run)
    if context.snapshot.metrics.num_rows:
        top = st.container()
        chosen = skill.choice(context)
        with top:
            skill.summary(context, chosen)
        skill.now(context, chosen)
        map.world(context, chosen, run["run_id"])
        skill.over_time(context, chosen)
        left, right = st.columns(2, gap="large")
        with left:
            skill.probabilities(context, chosen)
        with right:
            skill.warnings(context, chosen)
    else:
        st.html(blank(texts("state.unscored"), texts("state.unscored_text"), emblem=bolt(palette)))
    letters.letters(context)


def page() -> None:
    """The whole page."""
    texts = Texts(language())
    palette = DARK if st.context.theme.type == "dark" else LIGHT
    st.set_page_config(page_title=texts("page.title"), page_icon="⚡", layout="wide", initial_sidebar_state="collapsed")
    styled(palette)
    header.title(texts, palette)
    live(texts, palette, store_path())
    about.about(texts)


page()
