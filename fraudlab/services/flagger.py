"""The account flagger: sets `user_profile.suspicious_activities` for each activity, which makes the database refuse further payments."""

import logging
from typing import Any

import mysql.connector

from fraudlab.services.activity import known_by, user_and_time
from fraudlab.services.consumer import Received, consume
from fraudlab.services.patience import patiently
from fraudlab.settings import Settings
from fraudlab.system import connect

log = logging.getLogger("fraudlab.flagger")

SERVICE = "flagger"


class AccountFlagger:
    """Sets the flag of a user's account. Idempotent: an activity of an earlier episode never sets it again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None

    @patiently(log)
    def handle(self, received: Received) -> None:
        """Sets the flag, unless it is set or the account was reinstated after this activity became known.

        Returns after the database has committed. A database that is away is waited for.

        Raises:
            MalformedRecordError: The activity lacks an integer `user_id` or a time `created_at`.
        """
        user_id, _ = user_and_time(received.content)
        payment = known_by(received.content)
        try:
            self._flag(user_id, payment)
        except mysql.connector.Error:
            self._connection = None
            raise

    def _flag(self, user_id: int, payment: int | None) -> None:
        if self._connection is None:
            self._connection = connect(self._settings, "flagger", database=self._settings.names.database)
        with self._connection.cursor() as cursor:
            # The update locks the row first, so that no reinstatement comes between it and the look at the account's episode.
            cursor.execute(
                "UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s AND NOT suspicious_activities",
                (user_id,),
            )
            newly_flagged = cursor.rowcount == 1
            cursor.execute(
                "SELECT COALESCE((SELECT episode FROM account_states WHERE user_id = %s), 0)"
                " <> COALESCE((SELECT episode FROM payment_episodes WHERE transaction_id = %s), 0)",
                (user_id, payment),
            )
            reinstated_since = bool(cursor.fetchone()[0])
        if newly_flagged and reinstated_since:
            self._connection.rollback()
            log.info("user %s was reinstated after this activity: left alone", user_id)
        else:
            self._connection.commit()
            if newly_flagged:
                log.info("user %s stopped", user_id)


def main() -> None:
    """Runs the service until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    settings = Settings()
    names = settings.names
    consume(
        settings.bootstrap_servers,
        names,
        service=SERVICE,
        topic=names.suspicious_activities,
        handle=AccountFlagger(settings).handle,
    )


if __name__ == "__main__":
    main()
