"""The world map: which countries were paid in within the same hour."""

from collections import Counter
from typing import Any

from nicegui import ui

from fraudlab.services.analytics.formatting import number
from fraudlab.services.analytics.geography import EAST, NORTH, SOUTH, WEST, country_name, positions
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.parts.chart import Chart, series
from fraudlab.services.elements import Table, Words, block, card

PAIRS_DRAWN = 80
PAIRS_LISTED = 100
PAIRS_BESIDE = 16
COUNTRIES_NAMED = 8
NEWEST_DRAWN = 3


class CountryMap:
    """Arcs between countries, the more often the thicker; the newest stand out."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._shown = -1
        hidden: dict[str, Any] = {"show": False, "type": "value"}
        with card("Pairs of countries", "map-card"):
            with block("div", "map"):
                ui.element("div").classes("land").props["aria-hidden"] = "true"
                self._chart = Chart(
                    {
                        "grid": {"left": 0, "right": 0, "top": 0, "bottom": 0},
                        "xAxis": hidden | {"min": WEST, "max": EAST},
                        "yAxis": hidden | {"min": SOUTH, "max": NORTH},
                        "series": [
                            self._arcs("pairs", "var(--alert)", 3),
                            series(
                                "scatter",
                                "countries",
                                "Countries",
                                itemStyle={"color": "var(--alert)", "borderColor": "var(--card)", "borderWidth": 1},
                                labelLayout={"hideOverlap": True},
                                z=5,
                            ),
                            self._arcs("newest", "var(--stop)", 4),
                        ],
                    },
                    "A world map with an arc for each pair of countries; the table below has the figures.",
                    "map-chart",
                )
            with block("ol", "pairs", "The pairs seen most often") as self._often:
                pass
            self._often_shown: list[tuple[str, str]] = []
            self._table = Table("Pairs of countries", ("Countries", "Activities"), self._rows)

    def _arcs(self, identity: str, colour: str, z: int) -> dict[str, Any]:
        return series(
            "lines",
            identity,
            identity,
            coordinateSystem="cartesian2d",
            z=z,
            lineStyle={"color": colour, "curveness": 0.28, "cap": "round"},
        )

    def refresh(self) -> None:
        """Shows what is new."""
        self._table.refresh()
        if self._shown == self._model.activity_count:
            return
        self._shown = self._model.activity_count
        pairs = self._model.pairs.most_common(PAIRS_DRAWN)
        self._show_often()
        most = max((count for _, count in pairs), default=1)
        arcs = [
            {"coords": coords, "lineStyle": {"width": 0.8 + 3 * count / most, "opacity": 0.25 + 0.45 * count / most}}
            for pair, count in pairs
            if (coords := _coords(pair))
        ]
        newest = [
            {"coords": coords, "lineStyle": {"width": 2.2, "opacity": 0.95}}
            for activity in list(self._model.latest)[-NEWEST_DRAWN:]
            for pair in zip(activity.countries, activity.countries[1:], strict=False)
            if (coords := _coords((pair[0], pair[1])))
        ]
        self._chart.show(
            {
                "series": [
                    {"id": "pairs", "data": arcs},
                    {"id": "countries", "data": self._countries(dict(pairs))},
                    {"id": "newest", "data": newest},
                ]
            }
        )

    def _countries(self, pairs: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
        counts: Counter[str] = Counter()
        for pair, count in pairs.items():
            for code in pair:
                counts[code] += count
        most = max(counts.values(), default=1)
        return [
            {
                "value": list(positions()[code]),
                "symbolSize": 4 + 6 * (count / most) ** 0.5,
                "label": {
                    "show": rank < COUNTRIES_NAMED,
                    "formatter": country_name(code),
                    "position": "bottom",
                    "distance": 2,
                    "color": "var(--text)",
                    "fontSize": 11,
                    "fontWeight": 600,
                    # Without it a label is as high as a Chinese character, which is nothing where no font has one.
                    "lineHeight": 15,
                    "textBorderColor": "var(--card)",
                    "textBorderWidth": 2,
                },
            }
            for rank, (code, count) in enumerate(counts.most_common())
            if code in positions()
        ]

    def _show_often(self) -> None:
        """The first few pairs as text beside the map."""
        rows = [(names, count) for names, count in self._rows()[:PAIRS_BESIDE]]
        if rows == self._often_shown:
            return
        self._often_shown = rows
        self._often.clear()
        with self._often:
            for names, count in rows:
                with block("li"):
                    Words("span", names)
                    Words("strong", count)

    def _rows(self) -> list[tuple[str, str]]:
        return [
            (f"{country_name(one)} and {country_name(other)}", number(count))
            for (one, other), count in self._model.pairs.most_common(PAIRS_LISTED)
        ]


def _coords(pair: tuple[str, str]) -> list[list[float]] | None:
    """Both ends of an arc, the western one first, so that all bend to the same side; None where one is not on the map."""
    if not all(code in positions() for code in pair):
        return None
    return [list(end) for end in sorted(positions()[code] for code in pair)]
