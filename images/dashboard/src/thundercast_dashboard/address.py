"""What the viewer chose, kept in the page's address, so that it can be handed on, and from page to page.

Streamlit's own binding writes the words of a choice into the address, which differ by language; here it is the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st


def wanted(name: str) -> str | None:
    """What was chosen on this page or one before, else what the address says."""
    kept = (st.session_state.get(f"choose_{name}"), st.session_state.get(f"kept_{name}"), st.query_params.get(name))
    return next((value for value in kept if isinstance(value, str)), None)


def keep(name: str, value: str | None, default: str | None) -> None:
    """Remembers a choice; what goes without saying is left out of the address."""
    st.session_state[f"kept_{name}"] = value
    said = None if value == default else value
    if st.query_params.get(name) != said:
        if said is None:
            del st.query_params[name]
        else:
            st.query_params[name] = said


def pick(
    label: str,
    name: str,
    options: Sequence[str],
    *,
    default: str,
    words: Callable[[str], str],
    kind: Literal["segments", "list"] = "segments",
    named: bool = False,
) -> str:
    """Lets the viewer choose one of several; where there is but one, it is that.

    Args:
        name: in the address.
        default: what goes without saying.
        words: of an option.
        named: whether the address names it even where it goes without saying.
    """
    if len(options) < 2:
        keep(name, None, None)
        return options[0] if options else default
    before = wanted(name)
    # Not by way of the session's state: what that sets is told to the browser once only, and may be overtaken by the next refresh.
    first = before if before in options else default
    key = f"choose_{name}"
    if kind == "segments":
        value = st.segmented_control(label, options, default=first, required=True, format_func=words, key=key)
    else:
        value = st.selectbox(label, options, index=options.index(first), format_func=words, key=key)
    keep(name, value or default, None if named else default)
    return value or default
