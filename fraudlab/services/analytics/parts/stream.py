"""The stream of activities: who, where, how much, and how fast it was caught."""

import time
from itertools import islice

from nicegui import ui

from fraudlab.services.analytics.formatting import clock, countries, duration, euros, isolated, person
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.records import Activity
from fraudlab.services.elements import Words, block, card

SHOWN = 12
SPEAK_EVERY_S = 5.0


class Stream:
    """The newest activities, the newest first. Told to a screen reader in summary, every few seconds at most."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._shown = -1
        self._spoken, self._spoken_at = model.activity_count, 0.0
        self._rows: dict[str, ui.element] = {}
        with card("Suspicious activities", "stream-card"):
            self._empty = Words("p", "Waiting for the first fraud …", "empty")
            with block("ol", "stream", "The newest activities") as self._list:
                pass
            self._voice = Words("div", "", "only-for-screen-readers")
            self._voice.props["aria-live"] = "polite"

    def refresh(self) -> None:
        """Shows what is new."""
        if self._shown != self._model.activity_count:
            is_first_look, self._shown = self._shown == -1, self._model.activity_count
            newest = {one.activity_id: one for one in islice(reversed(self._model.latest), SHOWN)}
            for gone in self._rows.keys() - newest.keys():
                self._rows.pop(gone).delete()
            for index, (activity_id, activity) in enumerate(newest.items()):
                if activity_id not in self._rows:
                    self._rows[activity_id] = self._row(activity, is_new=not is_first_look)
                    self._rows[activity_id].move(target_index=index)
            self._empty.set_visibility(not newest)
        self._speak()

    def _row(self, activity: Activity, *, is_new: bool) -> ui.element:
        with self._list, block("li", "activity is-new" if is_new else "activity") as row:
            row.props["data-activity"] = activity.activity_id
            Words("time", clock(activity.arrived_ms), "when")
            with block("div", "who"):
                Words("strong", person(activity.name, activity.user_id))
                Words("span", f"user {activity.user_id}", "quiet")
            Words("div", countries(activity.countries), "where")
            Words("div", euros(activity.total_eur), "amount")
            Words("div", f"caught in {duration(activity.latency_ms)}", "caught")
        return row

    def _speak(self) -> None:
        new = self._model.activity_count - self._spoken
        if new <= 0 or time.monotonic() - self._spoken_at < SPEAK_EVERY_S:
            return
        self._spoken, self._spoken_at = self._model.activity_count, time.monotonic()
        last = next(reversed(self._model.latest))
        self._voice.set_text(
            f"{new} new {'activity' if new == 1 else 'activities'}. The newest: "
            f"{isolated(person(last.name, last.user_id))} paid in {countries(last.countries)}, {euros(last.total_eur)}."
        )
