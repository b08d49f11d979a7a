"""A payment's journey as a diagram: of each stage how much came, how much waits, and whether it stands still."""

from fraudlab.services.analytics.formatting import number, rate
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.stages import Stage, State
from fraudlab.services.elements import Words, block, card, icon

COLUMNS: tuple[tuple[tuple[str, str, str, str], ...], ...] = (
    (("mysql", "MySQL", "payments stored", "database"),),
    (
        ("transactions", "transactions", "Kafka, by change data capture", "topic"),
        ("user_profile", "user_profile", "Kafka, by change data capture", "topic"),
    ),
    (("transaction_mid", "transaction_mid", "Kafka, joined in Flink SQL", "topic"),),
    (("suspicious_activities", "suspicious_activities", "Kafka, sliding hour in Flink", "crisis_alert"),),
    (
        ("flags", "Flags set", "by the account flagger", "lock"),
        ("notifications", "Messages sent", "e-mail and push", "mail"),
    ),
    (
        ("refused", "Payments refused", "by the database itself", "block"),
        ("dead_letters", "dead_letters", "Kafka, what cannot be used", "report"),
    ),
)
"""Stage, name, what it is, icon; the stages of a column stand above each other."""

SIGNS = {
    State.UNKNOWN: "hourglass_empty",
    State.IDLE: "pause_circle",
    State.FLOWING: "play_circle",
    State.BEHIND: "hourglass_top",
    State.STALLED: "warning",
}


class Flow:
    """The diagram."""

    def __init__(self, model: Model) -> None:
        self._model = model
        with card("A payment's journey", "flow-card"), block("ol", "flow", "Stages"):
            self._tiles = [self._column(column) for column in COLUMNS]
        self._stages = [tile for column in self._tiles for tile in column]

    def _column(self, column: tuple[tuple[str, str, str, str], ...]) -> list["_Tile"]:
        with block("li", "flow-column"):
            return [_Tile(self._model.stages[stage], name, what, sign) for stage, name, what, sign in column]

    def refresh(self, now_ms: int) -> None:
        """Shows what is new."""
        for tile in self._stages:
            tile.refresh(now_ms)


class _Tile:
    def __init__(self, stage: Stage, name: str, what: str, sign: str) -> None:
        self._stage = stage
        self._shown: State | None = None
        with block("div", "stage") as self._element:
            with block("div", "stage-name"):
                icon({"database": "storage", "topic": "view_stream"}.get(sign, sign))
                Words("strong", name)
            Words("span", what, "stage-what")
            with block("div", "stage-figures"):
                self._count = Words("span", "", "stage-count")
                self._rate = Words("span", "", "stage-rate")
            with block("div", "stage-foot"):
                with block("span", "stage-state"):
                    self._sign = icon(SIGNS[State.UNKNOWN])
                    self._state = Words("span")
                self._lag = Words("span", "", "stage-lag")

    def refresh(self, now_ms: int) -> None:
        reading, state = self._stage.reading, self._stage.state(now_ms)
        self._count.set_text(number(reading.count if reading else None))
        is_known = state is not State.UNKNOWN
        self._rate.set_text(f"{rate(self._stage.rate)}/s" if is_known and self._stage.rate else "")
        lag = reading.lag if reading and is_known else None
        self._lag.set_text("" if lag is None else f"lag {number(lag)}")
        if state is not self._shown:
            if self._shown is not None:
                self._element.classes(remove=f"is-{self._shown.name.lower()}")
            self._element.classes(add=f"is-{state.name.lower()}")
            self._sign.set_name(SIGNS[state])
            self._state.set_text(state.value)
            self._shown = state
