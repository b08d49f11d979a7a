"""The row of figures at the top."""

from collections.abc import Callable

from fraudlab.services.analytics.formatting import NOTHING, duration, number, rate, share
from fraudlab.services.analytics.model import Model
from fraudlab.services.elements import Words, block, icon


class Figures:
    """Payments, activities, accounts stopped, refusals, latency, precision and recall."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._tiles: list[tuple[Words, Words, Callable[[int], tuple[str, str]]]] = []
        with block("dl", "figures", "The figures"):
            self._tile("Payments a second", "paid", "pay", self._payments)
            self._tile("Suspicious activities", "travel_explore", "alert", self._activities)
            self._tile("Commit to alert", "bolt", "good", self._alert)
            self._tile("Accounts stopped", "lock", "stop", self._stopped)
            self._tile("Payments refused", "block", "stop", self._refused)
            self._tile("Precision · recall", "verified", "good", self._score)

    def _tile(self, name: str, sign: str, classes: str, figure: Callable[[int], tuple[str, str]]) -> None:
        with block("div", f"figure {classes}"):
            with block("dt"):
                icon(sign)
                Words("span", name)
            value = Words("dd", classes="value")
            more = Words("dd", classes="more")
        self._tiles.append((value, more, figure))

    def refresh(self, now_ms: int) -> None:
        """Shows what is new."""
        for value, more, figure in self._tiles:
            text, detail = figure(now_ms)
            value.set_text(text)
            more.set_text(detail)

    def _payments(self, now_ms: int) -> tuple[str, str]:
        return rate(self._model.payments_per_second.rate(now_ms)), f"{number(self._model.payments)} in all"

    def _activities(self, now_ms: int) -> tuple[str, str]:
        last_minute = self._model.activities_per_second.rate(now_ms, 60) * 60
        return number(self._model.activity_count), f"{last_minute:.0f} in the last minute"

    def _stopped(self, now_ms: int) -> tuple[str, str]:
        episodes = self._model.episodes
        return number(len(episodes.stopped)), f"stopped {number(episodes.times_stopped)} times in all"

    def _refused(self, now_ms: int) -> tuple[str, str]:
        first = self._model.time_to_refusal
        detail = f"half within {duration(first.p50_ms)} of the fraud" if first else "none after a fraud yet"
        return number(self._model.refused_count), detail

    def _alert(self, now_ms: int) -> tuple[str, str]:
        latency = self._model.time_to_alert
        if latency is None:
            return NOTHING, "no activity yet"
        return duration(latency.p50_ms), f"p99 {duration(latency.p99_ms)}"

    def _score(self, now_ms: int) -> tuple[str, str]:
        score = self._model.score
        if not score.recall.cases:
            return NOTHING, "the bank has marked no fraud yet"
        flagged = score.true_positives + len(score.false_positives)
        text = f"{share(score.true_positives, flagged)} · {share(score.recall.found, score.recall.cases)}"
        return text, "against the bank's own labels"
