"""Commits a fraud on stage with the generator's own code, payment by payment, until one is refused."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from data_generator.connection import Connection
from data_generator.runner import commit_fraud
from data_generator.sink import GeneratorError, Outcome
from data_generator.stream import Payment

from fraudlab import system
from fraudlab.services.analytics.bank import BankError, find_users, random_user
from fraudlab.services.analytics.database_reader import DatabaseReader
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.reader import Feed
from fraudlab.services.analytics.staged_fraud import StagedFraud, Try
from fraudlab.services.analytics.words import isolated, person
from fraudlab.settings import Settings

SCENARIOS = ("cloned_card", "burst")
"""The second one goes on paying where the first one ended before the account was stopped."""
LONGEST_GAP_S = 0.6
DATABASE_PATIENCE_S = 5


class FraudStage:
    """Where one fraud at a time is committed, for all who look at the dashboard."""

    def __init__(self, settings: Settings, model: Model, feed: Feed, database: DatabaseReader) -> None:
        self._settings, self._model, self._feed, self._database = settings, model, feed, database
        self._taken = False

    async def commit(self, user_id: int | None) -> None:
        """Commits a fraud for a user, or for a random one without an id; returns when all its payments were tried.

        Raises:
            BankError: Another one is being played, the user cannot be chosen, or MySQL does not answer.
        """
        if self._taken:
            raise BankError("A fraud is being committed at the moment: wait a second.")
        self._taken = True
        try:
            chosen = user_id if user_id is not None else await asyncio.to_thread(random_user, self._settings)
            if chosen is None:
                raise BankError("The bank has no user who can pay: start it with `fraudlab demo`.")
            found = await asyncio.to_thread(find_users, self._settings, str(chosen))
            if not found:
                raise BankError(f"There is no user {chosen}.")
            ((_, name, _, is_stopped),) = found
            if is_stopped:
                raise BankError(
                    f"The account of {isolated(person(name, chosen))} is stopped already: reinstate it first."
                )
            fraud = StagedFraud(chosen, name, time.time_ns() // 1_000_000)
            self._model.stage_fraud(fraud)
            self._database.follow(fraud)
            await asyncio.to_thread(self._play, fraud)
        finally:
            self._taken = False

    def _play(self, fraud: StagedFraud) -> None:
        refused = threading.Event()

        def on_payment(payment: Payment, outcome: Outcome) -> None:
            one = Try(
                payment.by_thief,
                f"{payment.amount:,}",
                payment.currency,
                payment.country,
                payment.merchant,
                outcome.reason if outcome.status == "declined" else "",
            )
            self._change(fraud, lambda now: now.tried(one))
            if one.refusal:
                refused.set()  # which also ends the scenario

        connection = Connection.from_environment(
            system.generator_environment(self._settings), deadline_s=DATABASE_PATIENCE_S
        )
        error = ""
        try:
            for scenario in SCENARIOS:
                if not refused.is_set():
                    commit_fraud(
                        connection,
                        fraud.user_id,
                        scenario,
                        stop=refused,
                        tell=lambda line: None,
                        on_payment=on_payment,
                        longest_gap_s=LONGEST_GAP_S,
                    )
        except GeneratorError as failure:
            error = str(failure)
        self._change(fraud, lambda now: replace(now, played=True, error=error))

    def _change(self, fraud: StagedFraud, change: Callable[[StagedFraud], StagedFraud]) -> None:
        def apply(model: Model) -> None:
            if model.staged is not None and model.staged.began_ms == fraud.began_ms:
                model.stage_fraud(change(model.staged))

        self._feed(apply)
