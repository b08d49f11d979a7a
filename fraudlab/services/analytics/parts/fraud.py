"""The button that commits a fraud, and what becomes of it, step by step, with milliseconds."""

import asyncio

from nicegui import ui
from nicegui.events import GenericEventArguments

from fraudlab.services.analytics.bank import BankError, find_users, is_number
from fraudlab.services.analytics.commit_fraud import FraudStage
from fraudlab.services.analytics.formatting import duration, isolated, person
from fraudlab.services.analytics.geography import country_name
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.parts.accounts import Reinstate
from fraudlab.services.elements import Words, block, card, icon
from fraudlab.services.staged_fraud import StagedFraud, Step
from fraudlab.settings import Settings

SIGNS = {
    "Payment": "credit_card",
    "Activity": "travel_explore",
    "Flag": "lock",
    "E-mail": "mail",
    "Push": "smartphone",
    "Refusal": "block",
}


class Fraud:
    """Choose somebody, or nobody in particular, and commit a fraud."""

    def __init__(self, settings: Settings, model: Model, stage: FraudStage, reinstate: Reinstate) -> None:
        self._settings, self._model, self._stage, self._reinstate = settings, model, stage, reinstate
        self._shown: StagedFraud | None = None
        with card("Commit a fraud", "fraud-card"):
            with block("div", "fraud-form"):
                self._search = (
                    ui.input("Whose card?", placeholder="a name or number; empty: anybody", on_change=self._look_up)
                    .props("outlined dense clearable debounce=250 autocomplete=off")
                    .classes("fraud-search")
                    # What stands in the field now: its value comes here only after the debounce.
                    .on("keydown.enter", self._commit_typed, js_handler="(event) => emit(event.target.value)")
                )
                self._button = ui.button("Commit fraud", on_click=self._commit, icon="bolt", color=None)
                self._button.props("unelevated no-caps").classes("fraud-button")
            with block("ul", "matches", "Who was found") as self._matches:
                pass
            self._found = _voice()
            with block("p", "fraud-who") as who:
                who.props["aria-live"] = "polite"
                self._who = Words(
                    "span", "A cloned card: the owner pays at home, a thief far away. Watch what happens."
                )
            with block("ol", "steps", "What becomes of it"):
                self._steps = [_StepRow(name) for name in SIGNS]
            self._news = _voice()
            self._again = ui.button("Reinstate", on_click=self._reinstate_victim, icon="lock_open", color=None)
            self._again.props("unelevated no-caps dense").classes("plain-button")
            self._again.set_visibility(False)

    def refresh(self) -> None:
        """Shows what is new."""
        fraud = self._model.staged
        if fraud is None or fraud == self._shown:
            return
        self._shown = fraud
        who = isolated(person(fraud.name, fraud.user_id))
        refused = fraud.evidence.refusal_ms is not None
        if fraud.error:
            self._who.set_text(f"{who}: {fraud.error}")
        elif refused:
            self._who.set_text(f"{who}: caught and stopped.")
        elif fraud.is_over:
            self._who.set_text(f"{who}: not everything was seen. Look at the way of a payment below.")
        else:
            self._who.set_text(f"{who}: a thief has the card …")
        news = [said for row, step in zip(self._steps, fraud.steps, strict=True) if (said := row.show(step))]
        if news:
            self._news.set_text(". ".join(news))
        self._again.set_text(f"Reinstate {who}")
        self._again.set_visibility(refused)

    async def _look_up(self) -> None:
        text = (self._search.value or "").strip()
        is_asked = len(text) > 1 or is_number(text)
        try:
            found = await asyncio.to_thread(find_users, self._settings, text) if is_asked else []
        except BankError as error:
            self._who.set_text(str(error))
            return
        self._found.set_text(f"{len(found) or 'nobody'} found" if is_asked else "")
        self._matches.clear()
        with self._matches:
            for match in found:
                with block("li"):
                    self._match(*match)

    def _match(self, user_id: int, name: str, home: str, is_stopped: bool) -> None:
        """A button that chooses somebody; or that reinstates, for who is stopped cannot be robbed."""
        label = f"{isolated(person(name, user_id))} · {user_id} · {country_name(home)}"
        if is_stopped:
            button = ui.button(f"Reinstate {label}", on_click=lambda: self._reinstate_match(user_id), color=None)
            button.props("icon=lock_open")
        else:
            button = ui.button(label, on_click=lambda: self._choose(user_id, name), color=None)
        button.props("unelevated no-caps dense").classes("match")

    async def _reinstate_match(self, user_id: int) -> None:
        await self._reinstate(user_id)
        await self._look_up()

    def _choose(self, user_id: int, name: str) -> None:
        self._search.set_value(str(user_id))
        self._matches.clear()
        self._who.set_text(f"{isolated(person(name, user_id))} is chosen.")

    async def _commit_typed(self, event: GenericEventArguments) -> None:
        await self._commit_as(str(event.args or ""))

    async def _commit(self) -> None:
        await self._commit_as(self._search.value or "")

    async def _commit_as(self, text: str) -> None:
        try:
            user_id = await self._meant(text.strip())
            self._button.disable()
            self._again.set_visibility(False)
            await self._stage.commit(user_id)
        except BankError as error:
            self._who.set_text(str(error))
        finally:
            self._button.enable()

    async def _meant(self, text: str) -> int | None:
        """The user that the text means; None: anybody."""
        if not text:
            return None
        found = await asyncio.to_thread(find_users, self._settings, text)
        if not found:
            raise BankError(f"Nobody is called {text}.")
        if len(found) > 1:
            raise BankError("Several people are meant: choose one of them.")
        return found[0][0]

    async def _reinstate_victim(self) -> None:
        if self._shown is not None:
            await self._reinstate(self._shown.user_id)
            self._again.set_visibility(False)


def _voice() -> Words:
    """What only a screen reader says, when it changes."""
    voice = Words("div", "", "only-for-screen-readers")
    voice.props["role"] = "status"
    return voice


class _StepRow:
    def __init__(self, name: str) -> None:
        self._name = name
        self._state = ""
        with block("li", "step") as self._element:
            icon(SIGNS[name], "step-sign")
            with block("div", "step-what"):
                Words("strong", name)
                self._detail = Words("span", "", "quiet")
            self._after = Words("span", "", "step-after")

    def show(self, step: Step) -> str:
        """Shows the step. Returns what is to be said of it, where it has come or will not come; else nothing."""
        there = step.after_ms is not None
        self._detail.set_text(step.problem or step.detail)
        if there:
            self._after.set_text("0 ms" if step.after_ms == 0 else f"+{duration(step.after_ms)}")
        else:
            self._after.set_text(step.verdict or "…")
        before, self._state = self._state, "is-there" if there else "is-missing" if step.verdict else "is-awaited"
        if before == self._state:
            return ""
        self._element.classes(remove="is-there is-missing is-awaited", add=self._state)
        if there:
            return f"{self._name} after {duration(step.after_ms)}"
        return f"{self._name} {step.verdict}" if step.verdict else ""
