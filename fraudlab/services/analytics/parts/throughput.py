"""Payments and activities over the last minutes."""

from collections.abc import Sequence

from fraudlab.services.analytics.formatting import clock, rate
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.parts.chart import LINE, QUIET, SIZE, Chart, Options, series, value_axis
from fraudlab.services.elements import Table, card

SPAN_S = 300
STEP_S = 5


class Throughput:
    """Payments a second as a line, activities as bars."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._now_ms = 0
        with card("The last five minutes", "chart-card"):
            self._chart = Chart(
                {
                    "grid": {"left": 44, "right": 36, "top": 30, "bottom": 24},
                    "xAxis": {
                        "type": "time",
                        "axisLabel": {"color": QUIET, "fontSize": SIZE, "formatter": "{HH}:{mm}", "hideOverlap": True},
                        "axisLine": {"lineStyle": {"color": LINE}},
                        "axisTick": {"show": False},
                        "splitLine": {"show": False},
                    },
                    "yAxis": [
                        value_axis("payments a second (line)", nameTextStyle=_beside("left", "var(--pay)")),
                        value_axis(
                            f"activities in {STEP_S} s (bars)",
                            splitLine={"show": False},
                            nameTextStyle=_beside("right", "var(--alert)"),
                        ),
                    ],
                    "series": [
                        series(
                            "line",
                            "payments",
                            "Payments a second",
                            showSymbol=False,
                            smooth=0.2,
                            color="var(--pay)",
                            lineStyle={"color": "var(--pay)", "width": 2.5},
                            areaStyle={"color": "var(--pay)", "opacity": 0.14},
                        ),
                        series(
                            "bar",
                            "activities",
                            f"Activities in {STEP_S} s",
                            yAxisIndex=1,
                            barMaxWidth=7,
                            color="var(--alert)",
                            itemStyle={"color": "var(--alert)", "borderRadius": [2, 2, 0, 0]},
                        ),
                    ],
                },
                "Payments a second and suspicious activities over the last five minutes; the table below has the figures.",
                "chart",
            )
            self._table = Table("Payments and activities", ("Time", "Payments a second", "Activities"), self._rows)

    def refresh(self, now_ms: int) -> None:
        """Shows what is new."""
        self._now_ms = now_ms
        payments = self._model.payments_per_second.series(now_ms, SPAN_S, STEP_S)
        activities = self._model.activities_per_second.series(now_ms, SPAN_S, STEP_S)
        self._chart.show(
            {
                "series": [
                    {"id": "payments", "data": [[time, round(value, 1)] for time, value in payments]},
                    {"id": "activities", "data": [[time, round(value * STEP_S)] for time, value in activities]},
                ]
            }
        )
        self._table.refresh()

    def _rows(self) -> Sequence[Sequence[str]]:
        step_s = 30
        payments = self._model.payments_per_second.series(self._now_ms, SPAN_S, step_s)
        activities = self._model.activities_per_second.series(self._now_ms, SPAN_S, step_s)
        return [
            (clock(time), rate(paid), f"{found * step_s:.0f}")
            for (time, paid), (_, found) in zip(reversed(payments), reversed(activities), strict=True)
        ]


def _beside(side: str, colour: str) -> Options:
    return {"align": side, "color": colour, "fontWeight": 600, "fontSize": SIZE, "padding": [0, -30]}
