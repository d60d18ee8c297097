"""What the dashboards are put together from: a selector, and one function for each kind of panel, each with a description and a unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heat_kinds
from grafana_foundation_sdk.models import prometheus as formats

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""Which Prometheus is the reader's choice."""
NOTHING: Final = "–"
HALF, THIRD, FULL = 12, 8, 24
"""Widths; a dashboard is 24 wide."""

Steps = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first value is None, from below all."""
PLAIN: Final[Steps] = ((None, "text"),)
WATCHED: Final = ("cleaner", "trainer")
"""The parts that keep checkpoints and locks."""


def pick(metric: str, *matchers: str) -> str:
    """A selector of a metric of the release that the reader chose; a metric of Thundercast goes without its prefix."""
    name = metric if metric == "up" or metric.startswith("process_") else f"thundercast_{metric}"
    return name + "{" + ",".join((equal("namespace", "$namespace"), equal("release", "$release"), *matchers)) + "}"


def equal(label: str, value: str) -> str:
    """A matcher: the label has the value."""
    return f'{label}="{value}"'


def among(label: str, values: str) -> str:
    """A matcher: the label has one of the values, which are an expression or a variable of several."""
    return f'{label}=~"{values}"'


def part(*names: str) -> str:
    """The matcher of one part or of several."""
    return equal("component", names[0]) if len(names) == 1 else among("component", "|".join(names))


class _Visual(Protocol):
    def title(self, title: str) -> object: ...
    def description(self, description: str) -> object: ...
    def datasource(self, datasource: models.DataSourceRef) -> object: ...
    def unit(self, unit: str) -> object: ...
    def thresholds(self, thresholds: dashboard.ThresholdsConfig) -> object: ...
    def color_scheme(self, color: dashboard.FieldColor) -> object: ...
    def no_value(self, no_value: str) -> object: ...
    def span(self, w: int) -> object: ...
    def height(self, h: int) -> object: ...
    def decimals(self, decimals: float) -> object: ...


V = TypeVar("V", bound=_Visual)


def _dressed(
    panel: V, title: str, about: str, *, unit: str, width: int, height: int, steps: Steps, by_series: bool, decimals: int | None
) -> V:
    colour = models.FieldColorModeId.PALETTE_CLASSIC if by_series else models.FieldColorModeId.THRESHOLDS
    panel.title(title)
    panel.description(about)
    panel.datasource(SOURCE)
    panel.unit(unit)
    panel.span(width)
    panel.height(height)
    panel.no_value(NOTHING)
    panel.color_scheme(dashboard.FieldColor().mode(colour))
    found = [models.Threshold(value=value, color=name) for value, name in steps]
    panel.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found))
    if decimals is not None:
        panel.decimals(decimals)
    return panel


def _query(
    expr: str, legend: str = "", *, ref: str = "A", now: bool = False, form: formats.PromQueryFormat | None = None
) -> prometheus.Dataquery:
    query = prometheus.Dataquery().ref_id(ref).datasource(SOURCE).editor_mode(formats.QueryEditorMode.CODE).expr(expr).legend_format(legend)
    if form is not None:
        query.format(form)
    return query.instant() if now else query.range()


def number(title: str, about: str, expr: str, *, unit: str, width: int, steps: Steps = PLAIN, decimals: int | None = None) -> stat.Panel:
    """One number, as it is now."""
    panel = _dressed(stat.Panel(), title, about, unit=unit, width=width, height=4, steps=steps, by_series=False, decimals=decimals)
    last = common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
    panel.graph_mode(kinds.BigValueGraphMode.NONE).color_mode(kinds.BigValueColorMode.VALUE).text_mode(kinds.BigValueTextMode.VALUE)
    return panel.reduce_options(last).with_target(_query(expr, now=True))


def lines(
    title: str, about: str, queries: Mapping[str, str], *, unit: str, width: int = HALF, steps: Steps = PLAIN,
    decimals: int | None = None, from_zero: bool = False, stacked: bool = False, bars: bool = False,
) -> timeseries.Panel:  # fmt: skip
    """Values over time; expressions by their legends. More than one threshold is drawn as lines."""
    panel = _dressed(timeseries.Panel(), title, about, unit=unit, width=width, height=8, steps=steps, by_series=True, decimals=decimals)
    legend = common.VizLegendOptions().display_mode(kinds.LegendDisplayMode.TABLE).placement(kinds.LegendPlacement.RIGHT)
    panel.legend(legend.show_legend(True).calcs(["lastNotNull"]))
    panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
    panel.draw_style(kinds.GraphDrawStyle.BARS if bars else kinds.GraphDrawStyle.LINE).line_width(0 if bars else 2)
    panel.fill_opacity(60 if bars else 20 if stacked else 0).show_points(kinds.VisibilityMode.NEVER).span_nulls(False)
    panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL if stacked else kinds.StackingMode.NONE).group("A"))
    drawn = kinds.GraphTresholdsStyleMode.LINE if len(steps) > 1 else kinds.GraphTresholdsStyleMode.OFF
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(drawn))
    if from_zero:
        panel.min(0)
    for ref, (name, expr) in zip("ABCDEF", queries.items(), strict=False):
        panel.with_target(_query(expr, name, ref=ref))
    return panel


def dashed(panel: timeseries.Panel, names: str) -> timeseries.Panel:
    """The series whose names an expression fits are drawn as thin dashes."""
    style = models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [6, 6]})
    return panel.override_by_regexp(names, [style, models.DynamicConfigValue(id_val="custom.lineWidth", value=1)])


def seconds(title: str, about: str, buckets: str) -> heatmap.Panel:
    """A histogram of seconds over time, of the expression of its buckets."""
    panel = _dressed(heatmap.Panel(), title, about, unit="short", width=HALF, height=8, steps=PLAIN, by_series=True, decimals=None)
    colour = heatmap.HeatmapColorOptions().mode(heat_kinds.HeatmapColorMode.SCHEME).scheme("Blues").steps(64).exponent(0.5)
    panel.color(colour.fill("blue").reverse(False).scale(heat_kinds.HeatmapColorScale.EXPONENTIAL))
    panel.calculate(False).cell_gap(1).show_legend().show_y_histogram()
    panel.y_axis(heatmap.YAxisConfig().unit("s").axis_placement(kinds.AxisPlacement.LEFT).reverse(False))
    panel.rows_frame(heatmap.RowsHeatmapOptions().layout(kinds.HeatmapCellLayout.AUTO)).filter_values(heatmap.FilterValueRange().le(1e-9))
    return panel.with_target(_query(buckets, "{{le}}", form=formats.PromQueryFormat.HEATMAP))


def states(title: str, about: str, expr: str, legend: str, names: Mapping[int, tuple[str, str]]) -> statetimeline.Panel:
    """What holds when; names and colours by value."""
    steps = [(None if i == 0 else float(value), colour) for i, (value, (_, colour)) in enumerate(names.items())]
    panel = _dressed(statetimeline.Panel(), title, about, unit="short", width=HALF, height=6, steps=steps, by_series=False, decimals=None)
    results = {
        str(value): models.ValueMappingResult(text=text, color=colour, index=i) for i, (value, (text, colour)) in enumerate(names.items())
    }
    panel.mappings([models.ValueMap(options=results)])
    panel.show_value(kinds.VisibilityMode.NEVER).merge_values(True).row_height(0.8).align_value(kinds.TimelineValueAlignment.LEFT)
    panel.fill_opacity(80).line_width(0).legend(common.VizLegendOptions().show_legend(False))
    return panel.with_target(_query(expr, legend))


def rows(title: str, about: str, expr: str, columns: Mapping[str, str], *, value: bool, decimals: int | None = None) -> table.Panel:
    """A table of series, as they are now; the labels that are shown, and how they are headed."""
    panel = _dressed(table.Panel(), title, about, unit="none", width=HALF, height=8, steps=PLAIN, by_series=True, decimals=decimals)
    order = {name: i for i, name in enumerate([*columns, "Value"])}
    hidden = {"Time": True} if value else {"Time": True, "Value": True}
    tidy = {"excludeByName": hidden, "indexByName": order, "renameByName": dict(columns)}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=tidy)).show_header(True)
    return panel.with_target(_query(expr, now=True, form=formats.PromQueryFormat.TABLE))


Panel = stat.Panel | timeseries.Panel | heatmap.Panel | statetimeline.Panel | table.Panel


def choice(name: str, label: str, of: str, *, several: bool = False) -> dashboard.QueryVariable:
    """A variable with the values that a label has."""
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(f"label_values({of}, {name})")
    variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    if several:
        variable.multi(True).include_all(True).current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return variable


def listed(name: str, label: str, values: Sequence[str]) -> dashboard.CustomVariable:
    """A variable with values of its own, the first of them chosen."""
    options = [models.VariableOption(selected=i == 0, text=value, value=value) for i, value in enumerate(values)]
    return dashboard.CustomVariable(name).label(label).values(",".join(values)).current(options[0]).options(options)


def assembled(
    name: str, title: str, about: str, sections: Mapping[str, Sequence[Panel]], *,
    variables: Sequence[Builder[models.VariableModel]] = (), marks: Sequence[dashboard.AnnotationQuery] = (),
) -> models.Dashboard:  # fmt: skip
    """A dashboard of sections; each panel gets the next number and the next free place."""
    link = dashboard.DashboardLink("Thundercast").type(models.DashboardLinkType.DASHBOARDS).tags(["thundercast"])
    board = dashboard.Dashboard(f"Thundercast / {title}").uid(f"thundercast-{name}").description(about).tags(["thundercast"])
    board.timezone("utc").refresh("10s").time("now-3h", "now").tooltip(models.DashboardCursorSync.CROSSHAIR).editable().version(1)
    board.link(link.as_dropdown(False).include_vars(True).keep_time(True).target_blank(False))
    board.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    board.with_variable(choice("namespace", "Namespace", "thundercast_leader"))
    board.with_variable(choice("release", "Release", 'thundercast_leader{namespace="$namespace"}'))
    for variable in variables:
        board.with_variable(variable)
    for mark in marks:
        board.annotation(mark)
    number_of_panel = 0
    for heading, content in sections.items():
        number_of_panel += 1
        board.with_row(dashboard.Row(heading).id(number_of_panel))
        for panel in content:
            number_of_panel += 1
            board.with_panel(panel.id(number_of_panel))
    return board.build()
