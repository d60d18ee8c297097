"""What the viewer may choose: task, stations, model."""

from __future__ import annotations

import pyarrow.compute as pc
import streamlit as st

from thundercast.domain.scores.champion import BASELINE
from thundercast_dashboard.address import pick
from thundercast_dashboard.data import champion, latest
from thundercast_dashboard.views.context import Choice, Context

GATES = ("all", "reporting")


def choice(context: Context, *, gates: bool = True) -> Choice:
    """The viewer's choice, offered where there is one.

    Args:
        gates: whether stations that report thunder may be told apart here.
    """
    t, snapshot = context.texts, context.snapshot
    with st.container(key="choice", horizontal=True, gap="medium", vertical_alignment="top"):
        task = pick(t("choice.task"), "task", snapshot.tasks, default=snapshot.tasks[0], words=lambda v: t(f"choice.{v}"))
        gate = "all"
        if gates:
            gate = pick(t("choice.gate"), "stations", GATES, default="all", words=lambda v: t(f"choice.{v}"))
        rows = latest(snapshot.series(task, gate))
        names = sorted(set(pc.unique(snapshot.series(task, gate).column("model_name")).to_pylist()) & rows.keys())
        leads = champion(names, snapshot.events, task)
        models = (*sorted((name for name in names if name != BASELINE), key=lambda name: (name != leads, name)), BASELINE)
        models = tuple(name for name in models if name in rows)
        with st.container(width=220):
            model = pick(t("choice.model"), "model", models, default=leads, words=t.model, kind="list")
    return Choice(task, gate, model if model in rows else models[0], leads, models, rows)
