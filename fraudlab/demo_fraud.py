"""The fraud that the demo commits itself, so that there is always one to catch: who, which payments, and what happened when."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from fraudlab import system
from fraudlab.pipeline.records import Activity, epoch_ms
from fraudlab.services import stage
from fraudlab.services.staged_fraud import PATIENCE_S, Evidence, StagedFraud, Step, Try
from fraudlab.settings import Settings

HONEST_PAYMENTS = 100
"""So many come first: a fraud among the very first payments would measure how Java starts, not how fast the pipeline is."""
PATIENCE_FOR_PAYMENTS_S = 3
"""A slow bank has not made so many by then."""


class DemoFraud:
    """Commits one fraud and follows it. `look` and `take` are called by the demo's thread.

    Args:
        settings: The settings of this lab environment.
        database: A connection that reads what is committed.
    """

    def __init__(self, settings: Settings, database: Any) -> None:
        self._settings, self._database = settings, database
        self._news: deque[Callable[[StagedFraud], StagedFraud]] = deque()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()
        self._waiting_since = time.monotonic()
        self.fraud: StagedFraud | None = None
        # takes a second, which is better spent before the bank's first payments than after
        threading.Thread(target=import_module, args=["data_generator.runner"], daemon=True).start()

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is to be expected of it."""
        return self.is_hopeless if self.fraud is None else self.fraud.is_complete

    @property
    def is_hopeless(self) -> bool:
        """Whether it could not even be committed, for no payment of the bank came through."""
        return self.fraud is None and time.monotonic() - self._waiting_since > PATIENCE_S

    @property
    def is_caught(self) -> bool:
        """Whether the alert came, the account was stopped, and a payment after that was refused."""
        seen = self.fraud.evidence if self.fraud else Evidence()
        return None not in (seen.activity_ms, seen.flag_ms, seen.refusal_ms)

    def look(self, payments: int) -> None:
        """Commits the fraud among the bank's first payments, of which so many have been seen, and takes in what MySQL tells of it."""
        if self.fraud is None:
            waited_s = time.monotonic() - self._waiting_since
            if payments >= HONEST_PAYMENTS or (payments and waited_s > PATIENCE_FOR_PAYMENTS_S):
                self._begin()
            return
        self._take_news()
        if not self.fraud.is_complete:
            is_over = time.time_ns() // 1_000_000 - self.fraud.began_ms > PATIENCE_S * 1000
            with self._database.cursor() as cursor:
                seen = stage.evidence(cursor, self.fraud)
            self.fraud = replace(self.fraud.with_evidence(seen), is_over=is_over)

    def take(self, activity: Activity, arrived_ms: int) -> None:
        """Takes in an activity, which may be this fraud's."""
        fraud = self.fraud
        if fraud is None or activity.user_id != fraud.user_id or fraud.evidence.activity_ms is not None:
            return
        committed_ms = epoch_ms(activity.created_at)
        if committed_ms >= fraud.began_ms:
            self.fraud = fraud.with_evidence(Evidence(payment_ms=committed_ms, activity_ms=arrived_ms))

    def news(self) -> list[str]:
        """What has not been said yet, in lines."""
        fresh = [line for line in self.lines() if line not in self._said]
        self._said.update(fresh)
        return fresh

    def lines(self) -> list[str]:
        """What came of it so far, a line each, in the order in which it usually comes."""
        self._take_news()
        if self.fraud is None:
            return []
        who = f"{self.fraud.name} (user {self.fraud.user_id})" if self.fraud.name else f"user {self.fraud.user_id}"
        lines = [f"The demo commits a fraud itself: a thief has copied the card of {who}."]
        steps = self.fraud.steps
        if not any(one.by_thief for one in self.fraud.tries):
            steps = steps[1:]  # the alert may be there before the bank has told the thief that the payment was accepted
        lines += [_in_words(step) for step in steps if step.after_ms is not None or step.verdict]
        if self.fraud.error:
            lines.append(f"The thief could not go on: {self.fraud.error}")
        return lines

    def end(self) -> None:
        """Ends the fraud where it still goes on."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def why_not_caught(self) -> str:
        """The reason, as far as it can be seen from here."""
        if self.fraud is not None and self.fraud.error:
            return self.fraud.error
        what = f"no payment of the bank came through within {PATIENCE_S} s"
        if self.fraud is not None:
            missing = [step.name.lower() for step in self.fraud.steps[1:] if step.after_ms is None and not step.problem]
            what = f"no {', no '.join(missing)} within {PATIENCE_S} s"
        unhealthy = self._unhealthy()
        return f"{what} ({'; '.join(unhealthy)})" if unhealthy else what

    def _unhealthy(self) -> list[str]:
        """The jobs and programs that do not work, a phrase each."""
        seen = system.status(self._settings)
        unhealthy = [(one.name, one.problem) for one in seen.jobs] + [(one.name, one.problem) for one in seen.programs]
        return [f"{name} {problem}" for name, problem in unhealthy if problem]

    def report(self, started_s: float) -> dict[str, Any]:
        """Milliseconds from the fraudulent payment's commit, by step, and the seconds from `started_s` to the refusal."""
        fraud = self.fraud
        if fraud is None:
            return {}
        refusal_ms = fraud.evidence.refusal_ms
        return {
            "user_id": fraud.user_id,
            "after_ms": {step.name.lower(): step.after_ms for step in fraud.steps[1:]},
            "caught_s": None if refusal_ms is None else round(refusal_ms / 1000 - started_s, 1),
        }

    def _take_news(self) -> None:
        while self.fraud is not None and self._news:
            self.fraud = self._news.popleft()(self.fraud)

    def _begin(self) -> None:
        with self._database.cursor() as cursor:
            chosen = stage.anybody(cursor) or self._reinstated(cursor)
        if chosen is None:
            return
        fraud = self.fraud = stage.raise_curtain(*chosen)

        def on_try(one: Try) -> None:
            self._news.append(lambda now: now.tried(one))

        def play() -> None:
            error = stage.commit(self._settings, fraud.user_id, on_try, self._stop)
            self._news.append(lambda now: replace(now, played=True, error=error))

        self._thread = threading.Thread(target=play, daemon=True)
        self._thread.start()

    def _reinstated(self, cursor: Any) -> tuple[int, str] | None:
        """Where earlier demos have had every account stopped, one of them is reinstated."""
        cursor.execute("SELECT user_id FROM user_profile WHERE home_country IS NOT NULL ORDER BY RAND() LIMIT 1")
        rows = cursor.fetchall()
        if rows:
            system.reinstate(self._settings, rows[0][0])
        return stage.anybody(cursor)


def _in_words(step: Step) -> str:
    if step.verdict:
        return f"{step.name} {step.verdict}: {step.problem or 'it did not come'}"
    if step.name == "Payment":
        return f"Payment: {step.detail}"
    return f"{step.name} after {step.after_ms} ms: {step.detail}"
