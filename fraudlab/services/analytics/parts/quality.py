"""Precision and recall against the labels of the synthetic bank."""

from fraudlab.services.analytics.formatting import number, share
from fraudlab.services.analytics.model import Model
from fraudlab.services.elements import Words, block, card
from fraudlab.verification.score import Recall, Score


class Quality:
    """How many of the frauds were found, by scenario, and how many of the accused were innocent."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._shown: Score | None = None
        with card("How good is it?", "quality-card"):
            self._precision = Words("p", "", "chart-sum")
            with block("table", "quality"):
                with block("thead"), block("tr"):
                    for name in ("Kind of fraud", "Found", "Cases", "Recall"):
                        Words("th", name).props["scope"] = "col"
                with block("tbody") as self._rows:
                    pass
            Words(
                "p",
                "The bank marks the payments that its thieves make; the pipeline never sees these marks.",
                "quiet",
            )

    def refresh(self) -> None:
        """Shows what is new."""
        score = self._model.score
        if score == self._shown:
            return
        self._shown = score
        flagged = score.true_positives + len(score.false_positives)
        self._precision.set_text(
            f"Precision {share(score.true_positives, flagged)}: of {number(flagged)} people with an activity, "
            f"{number(score.true_positives)} were robbed."
            if flagged and score.recall.cases
            else "The bank has marked no payment as fraud, so there is no precision and no recall."
            if flagged
            else "Nobody has an activity yet."
        )
        self._rows.clear()
        with self._rows:
            for scenario, recall in score.by_scenario.items():
                self._row(scenario.replace("_", " "), recall)
            self._row("all", score.recall)

    def _row(self, name: str, recall: Recall) -> None:
        with block("tr"):
            Words("th", name).props["scope"] = "row"
            Words("td", number(recall.found))
            Words("td", number(recall.cases))
            with block("td"), block("div", "bar-cell"):
                bar = _bar(recall)
                bar.props["aria-hidden"] = "true"
                Words("span", share(recall.found, recall.cases))


def _bar(recall: Recall) -> Words:
    percent = 100 * recall.found / recall.cases if recall.cases else 0
    return Words("span", "", "bar").style(f"--share: {percent:.0f}%")
