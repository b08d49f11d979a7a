"""The dashboard's stage: one fraud at a time, for all who look at the page."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from fraudlab.services import stage
from fraudlab.services.analytics.bank import BankError, find_users, random_user
from fraudlab.services.analytics.database_reader import DatabaseReader
from fraudlab.services.analytics.formatting import isolated, person
from fraudlab.services.analytics.model import Model
from fraudlab.services.analytics.reader import Feed
from fraudlab.services.staged_fraud import StagedFraud
from fraudlab.settings import Settings


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
            fraud = stage.raise_curtain(chosen, name)
            self._model.stage_fraud(fraud)
            self._database.follow(fraud)
            await asyncio.to_thread(self._play, fraud)
        finally:
            self._taken = False

    def _play(self, fraud: StagedFraud) -> None:
        error = stage.commit(self._settings, fraud.user_id, lambda one: self._change(fraud, lambda now: now.tried(one)))
        self._change(fraud, lambda now: replace(now, played=True, error=error))

    def _change(self, fraud: StagedFraud, change: Callable[[StagedFraud], StagedFraud]) -> None:
        def apply(model: Model) -> None:
            if model.staged is not None and model.staged.began_ms == fraud.began_ms:
                model.stage_fraud(change(model.staged))

        self._feed(apply)
