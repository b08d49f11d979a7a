"""What all charts share: drawn as SVG in the page's own colours, which follow light and dark by themselves."""

from collections.abc import Mapping
from typing import Any

from nicegui import ui

QUIET = "var(--quiet)"
LINE = "var(--line)"
FONT = "Roboto, sans-serif"
SIZE = 12

Options = dict[str, Any]


class Chart:
    """An ECharts chart that is only sent what changes. `label` is what a screen reader says of it."""

    def __init__(self, options: Options, label: str, classes: str) -> None:
        self._element = ui.echart(
            {"animation": False, "textStyle": {"fontFamily": FONT, "fontSize": SIZE, "color": QUIET}} | options,
            renderer="svg",
        ).classes(classes)
        self._element.props["role"] = "img"
        self._element.props["aria-label"] = label
        self._shown: Mapping[str, Any] | None = None

    def show(self, change: Mapping[str, Any]) -> None:
        """Merges new options into those that are drawn. Series are found by their `id`."""
        if change == self._shown:
            return
        self._shown = change
        # For a page that is opened or reloaded now, and for the ones that are open.
        merged = {one["id"]: one for one in change.get("series", ())}
        for series in self._element.options.get("series", ()):
            series |= merged.get(series["id"], {})
        self._element.run_chart_method("setOption", dict(change))


def value_axis(name: str, **options: Any) -> Options:
    """An axis of numbers with few, quiet lines."""
    return {
        "type": "value",
        "name": name,
        "nameTextStyle": {"color": QUIET, "align": "left"},
        "min": 0,
        "minInterval": 1,
        "splitNumber": 3,
        "axisLabel": {"color": QUIET},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "splitLine": {"lineStyle": {"color": LINE}},
    } | options


def series(kind: str, identity: str, name: str, **options: Any) -> Options:
    """A series that does not react to the pointer: what it says is in the table beside it, too."""
    return {
        "type": kind,
        "id": identity,
        "name": name,
        "silent": True,
        "emphasis": {"disabled": True},
        "data": [],
    } | options
