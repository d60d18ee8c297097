"""*Model skill*: how well each model does, on rows that it predicted before it learnt from them."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.panels import FULL, SOURCE, Panel, Steps, among, assembled, choice, dashed, equal, lines, listed, number, pick, rows

CHOSEN = (among("model", "$model"), among("task", "$task"))
SCOPE = equal("scope", "$scope")
LEGEND = "{{model}}, {{task}}"
BELOW_ZERO: Steps = ((None, "red"), (0, "green"))
_SHOWN = {
    "brier_skill": (
        "Brier skill",
        "Share of climatology's error that is avoided; 0 is no gain, below it climatology is better.",
        (0, 0.05),
    ),
    "roc_auc": ("ROC AUC", "Chance that a day with thunder was given the higher probability; 0.5 is a coin.", (0.7, 0.85)),
    "pr_auc": ("PR AUC", "Average precision; a coin scores the share of thunder days, about 0.05.", (0.1, 0.25)),
}


def _score(name: str, *more: str) -> str:
    return f"max by (model, task) ({pick('score', *CHOSEN, *more, SCOPE, equal('score', name))})"


def _over_time(title: str, about: str, name: str, *, decimals: int = 3, steps: Steps = ((None, "text"),)) -> Panel:
    return lines(title, about, {LEGEND: _score(name)}, unit="none", steps=steps, decimals=decimals)


def _with_best(title: str, about: str, name: str) -> Panel:
    panel = lines(title, about, {LEGEND: _score(name), f"{LEGEND}, best": _score(f"best_{name}")}, unit="none", decimals=3)
    return dashed(panel, ".*best$")


def board() -> Dashboard:
    """The dashboard."""
    glance = [
        number(f"{title}, {when}", about,
               f"max({pick('score', equal('model', 'thunder'), equal('task', task), equal('scope', '30d'), equal('score', name))})",
               unit="none", width=4, steps=((None, "red"), (limits[0], "orange"), (limits[1], "green")), decimals=3)
        for task, when in (("nowcast", "same day"), ("dayahead", "day ahead"))
        for name, (title, about, limits) in _SHOWN.items()
    ]  # fmt: skip
    others = 'model!="climatology"'
    climatology = f"max by (task) ({pick('score', equal('model', 'climatology'), CHOSEN[1], SCOPE, equal('score', 'roc_auc'))})"
    against = [
        lines("Brier skill", "Share of climatology's error that is avoided. Below the line at 0 the station's own past says more.",
              {LEGEND: _score("brier_skill", others)}, unit="none", steps=BELOW_ZERO, decimals=3),
        lines("ROC AUC above climatology's", "How much better the order of the probabilities is than that of climatology.",
              {LEGEND: f"{_score('roc_auc', others)} - on (task) group_left () {climatology}"}, unit="none", steps=BELOW_ZERO, decimals=3),
    ]  # fmt: skip
    order = [
        _over_time(
            "ROC AUC",
            "Chance that a day with thunder was given the higher probability. A gap is a time at which it was not defined.",
            "roc_auc",
        ),
        _over_time("PR AUC", "Average precision.", "pr_auc"),
    ]
    worth = [
        _over_time("Brier score", "Mean squared difference to what happened; less is better.", "brier", decimals=4),
        _over_time("Log loss", "Mean negative logarithm of the probability of what happened; less is better.", "log_loss", decimals=4),
    ]
    pod_and_far = {f"{LEGEND}, POD": _score("pod"), f"{LEGEND}, FAR": _score("far")}
    warnings = [
        _with_best("HSS", "Heidke skill score; 0 is chance, 1 perfect. Dashed for comparison: the best that any threshold would have given, after the fact.", "hss"),
        _with_best("CSI", "Hits among hits, misses and false alarms. Dashed: the best after the fact.", "csi"),
        lines("POD and FAR", "Of the days with thunder, how many were warned; of the warnings, how many were false.", pod_and_far, unit="percentunit", decimals=1),
        _over_time("Frequency bias", "Warnings for each thunder. Above 3 or below a third the alert on drift fires.", "bias",
                   decimals=2, steps=((None, "red"), (0.3333, "green"), (3, "red"))),
        _over_time("Peirce", "Peirce skill score: POD less the share of quiet days that were warned.", "peirce"),
        rows("All scores now", "By model, task and scope. What is not defined is missing.",
             f"max by (model, task, scope, score) ({pick('score', *CHOSEN)})",
             {"model": "Model", "task": "Task", "scope": "Scope", "score": "Score"}, value=True, decimals=3),
    ]  # fmt: skip
    drift = [
        lines("Drift", "How often, since the trainer started, what a model says and what happens parted for good (a CUSUM of their ratio).",
              {"{{model}}": f"max by (model) ({pick('drift_total', CHOSEN[0])})"}, unit="short", from_zero=True, decimals=0, width=FULL),
    ]  # fmt: skip
    sections: dict[str, list[Panel]] = {
        "At a glance: the model thunder, the last 30 days of the stream": [*glance],
        "Skill against climatology": [*against],
        "Order of the probabilities": order,
        "Worth of the probabilities (reliability diagrams are on the dashboard of the application)": worth,
        "Warnings, at the threshold fixed before each date": warnings,
        "Drift": [*drift],
    }
    scores = 'thundercast_score{namespace="$namespace",release="$release"}'
    variables = [
        choice("model", "Model", scores, several=True), choice("task", "Task", scores, several=True),
        listed("scope", "Scope", ["30d", "run", "day"]),
    ]  # fmt: skip
    marks = AnnotationQuery().name("Drift").datasource(SOURCE).enable(True).icon_color("orange")
    marks.expr(f"sum by (model) (increase({pick('drift_total', CHOSEN[0])}[1m])) > 0")
    about = "How well each model does, on rows that it predicted before it learnt from them."
    return assembled("model-skill", "Model skill", about, sections, variables=variables, marks=[marks])
