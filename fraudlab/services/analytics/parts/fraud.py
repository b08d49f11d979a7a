"""The button that commits a fraud, and what becomes of it, step by step, with milliseconds."""

import asyncio

from nicegui import ui
from nicegui.events import GenericEventArguments

from fraudlab.services.analytics.commit_fraud import FraudError, FraudStage
from fraudlab.services.analytics.database_reader import find_users
from fraudlab.services.analytics.geography import country_name
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.parts.accounts import Reinstate
from fraudlab.services.analytics.parts.elements import Words, block, card, icon
from fraudlab.services.analytics.staged_fraud import StagedFraud, Step
from fraudlab.services.analytics.words import duration, person
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
            with block("p", "fraud-who") as who:
                who.props["aria-live"] = "polite"
                self._who = Words(
                    "span", "A cloned card: the owner pays at home, a thief far away. Watch what happens."
                )
            with block("ol", "steps", "What becomes of it"):
                self._steps = [_StepRow(name) for name in SIGNS]
            self._again = ui.button("Reinstate", on_click=self._reinstate_victim, icon="lock_open", color=None)
            self._again.props("unelevated no-caps dense").classes("plain-button")
            self._again.set_visibility(False)

    def refresh(self) -> None:
        """Shows what is new."""
        fraud = self._model.staged
        if fraud is None or fraud == self._shown:
            return
        self._shown = fraud
        who = person(fraud.name, fraud.user_id)
        refused = fraud.evidence.refusal_ms is not None
        if fraud.error:
            self._who.set_text(f"{who}: {fraud.error}")
        elif refused:
            self._who.set_text(f"{who}: caught and stopped.")
        else:
            self._who.set_text(f"{who}: a thief has the card …")
        for row, step in zip(self._steps, fraud.steps, strict=True):
            row.show(step)
        self._again.set_text(f"Reinstate {who}")
        self._again.set_visibility(refused)

    async def _look_up(self) -> None:
        text = (self._search.value or "").strip()
        found = await asyncio.to_thread(find_users, self._settings, text) if len(text) > 1 or text.isdigit() else []
        self._matches.clear()
        with self._matches:
            for user_id, name, home, is_stopped in found:
                label = f"{person(name, user_id)} · {user_id} · {country_name(home)}"
                with block("li"):
                    button = ui.button(
                        label + (" · stopped" if is_stopped else ""),
                        on_click=lambda user_id=user_id, name=name: self._choose(user_id, name),
                        color=None,
                    )
                    button.props("unelevated no-caps dense").classes("match")

    def _choose(self, user_id: int, name: str) -> None:
        self._search.set_value(str(user_id))
        self._matches.clear()
        self._who.set_text(f"{person(name, user_id)} is chosen.")

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
        except FraudError as error:
            self._who.set_text(str(error))
        finally:
            self._button.enable()

    async def _meant(self, text: str) -> int | None:
        """The user that the text means; None: anybody."""
        if not text:
            return None
        found = await asyncio.to_thread(find_users, self._settings, text)
        if not found:
            raise FraudError(f"Nobody is called {text}.")
        if len(found) > 1:
            raise FraudError("Several people are meant: choose one of them.")
        return found[0][0]

    async def _reinstate_victim(self) -> None:
        if self._shown is not None:
            await self._reinstate(self._shown.user_id)
            self._again.set_visibility(False)


class _StepRow:
    def __init__(self, name: str) -> None:
        with block("li", "step") as self._element:
            icon(SIGNS[name], "step-sign")
            with block("div", "step-what"):
                Words("strong", name)
                self._detail = Words("span", "", "quiet")
            self._after = Words("span", "", "step-after")

    def show(self, step: Step) -> None:
        there = step.after_ms is not None
        self._detail.set_text(step.problem or step.detail)
        if there:
            self._after.set_text("0 ms" if step.after_ms == 0 else f"+{duration(step.after_ms)}")
        else:
            self._after.set_text("not sent" if step.problem else "…")
        state = "is-there" if there else "is-missing" if step.problem else "is-awaited"
        self._element.classes(remove="is-there is-missing is-awaited", add=state)
