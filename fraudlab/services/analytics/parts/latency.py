"""Commit-to-alert latency as a distribution."""

from bisect import bisect_left
from collections.abc import Sequence

from fraudlab.services.analytics.formatting import duration, number
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.parts.chart import LINE, QUIET, Chart, series, value_axis
from fraudlab.services.elements import Table, Words, card

UP_TO_MS = (5, 10, 15, 20, 30, 50, 75, 100, 150, 200, 500, 1_000, 10_000)
"""Upper ends of the bars; the last bar is for all beyond."""


class Latency:
    """How many of the newest 1,000 activities took how long, from the payment's commit to the alert in Kafka."""

    def __init__(self, model: Model) -> None:
        self._model = model
        names = [f"≤ {duration(end)}" if end < 1_000 else f"≤ {end // 1000} s" for end in UP_TO_MS]
        self._names = [*names, f"> {UP_TO_MS[-1] // 1000} s"]
        with card("From commit to alert", "chart-card"):
            self._sum = Words("p", "", "chart-sum")
            self._chart = Chart(
                {
                    "grid": {"left": 36, "right": 8, "top": 30, "bottom": 24},
                    "xAxis": {
                        "type": "category",
                        "data": self._names,
                        "axisLabel": {"color": QUIET, "hideOverlap": True},
                        "axisLine": {"lineStyle": {"color": LINE}},
                        "axisTick": {"show": False},
                    },
                    "yAxis": value_axis("activities"),
                    "series": [
                        series(
                            "bar",
                            "latency",
                            "Activities",
                            barCategoryGap="12%",
                            itemStyle={"color": "var(--good)", "borderRadius": [3, 3, 0, 0]},
                        )
                    ],
                },
                "How long the newest activities took from commit to alert; the table below has the figures.",
                "chart",
            )
            self._table = Table("Latencies", ("From commit to alert", "Activities"), self._rows)

    def refresh(self) -> None:
        """Shows what is new."""
        latency = self._model.time_to_alert
        self._sum.set_text(
            f"half within {duration(latency.p50_ms)}, 99 of 100 within {duration(latency.p99_ms)}, "
            f"all within {duration(latency.max_ms)}; the newest {number(len(self._model.latencies_ms))}"
            if latency
            else "No activity yet."
        )
        self._chart.show({"series": [{"id": "latency", "data": self._counts()}]})
        self._table.refresh()

    def _counts(self) -> list[int]:
        counts = [0] * (len(UP_TO_MS) + 1)
        for latency_ms in self._model.latencies_ms:
            counts[bisect_left(UP_TO_MS, latency_ms)] += 1
        return counts

    def _rows(self) -> Sequence[Sequence[str]]:
        return list(zip(self._names, map(number, self._counts()), strict=True))
