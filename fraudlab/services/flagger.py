"""The account flagger: sets `user_profile.suspicious_activities` for each activity, which makes the database refuse further payments."""

import logging
from datetime import UTC, datetime
from typing import Any

import mysql.connector
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_delay, wait_exponential

from fraudlab.services.consumer import MalformedRecordError, consume
from fraudlab.settings import Settings
from fraudlab.system import connect

log = logging.getLogger("fraudlab.flagger")

SERVICE = "flagger"
DATABASE_PATIENCE_S = 300

_patiently = retry(
    retry=retry_if_exception_type((mysql.connector.InterfaceError, mysql.connector.OperationalError)),
    wait=wait_exponential(multiplier=0.1, max=2),
    stop=stop_after_delay(DATABASE_PATIENCE_S),
    before_sleep=before_sleep_log(log, logging.WARNING),
    reraise=True,
)


class AccountFlagger:
    """Sets the flag of a user's account. Idempotent: an activity of an earlier episode never sets it again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None

    @_patiently
    def handle(self, activity: dict[str, Any]) -> None:
        """Sets the flag, unless it is set or the account was reinstated after this activity became known.

        Returns after the database has committed. A database that is away is waited for.

        Raises:
            MalformedRecordError: The activity lacks an integer `user_id` or a time `created_at`.
        """
        user_id, known_at = _user_and_time(activity)
        try:
            self._flag(user_id, known_at)
        except mysql.connector.Error:
            self._connection = None
            raise

    def _flag(self, user_id: int, known_at: datetime) -> None:
        if self._connection is None:
            self._connection = connect(self._settings, "flagger", database=self._settings.names.database)
        with self._connection.cursor() as cursor:
            # The update locks the row first, so that no reinstatement comes between it and the look at the last one.
            cursor.execute(
                "UPDATE user_profile SET suspicious_activities = TRUE WHERE user_id = %s AND NOT suspicious_activities",
                (user_id,),
            )
            newly_flagged = cursor.rowcount == 1
            cursor.execute(
                "SELECT COUNT(*) FROM flag_changes WHERE user_id = %s AND NOT suspicious_activities AND changed_at >= %s",
                (user_id, known_at),
            )
            reinstated_since = cursor.fetchone()[0] > 0
        if newly_flagged and reinstated_since:
            self._connection.rollback()
            log.info("user %s was reinstated after this activity: left alone", user_id)
        else:
            self._connection.commit()
            if newly_flagged:
                log.info("user %s stopped", user_id)


def _user_and_time(activity: dict[str, Any]) -> tuple[int, datetime]:
    try:
        user_id, known_at = activity["user_id"], datetime.fromisoformat(activity["created_at"])
        if known_at.tzinfo is None:
            raise ValueError("created_at has no time zone")
        known_at = known_at.astimezone(UTC).replace(tzinfo=None)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MalformedRecordError(f"not an activity: {error!r}") from None
    if type(user_id) is not int:
        raise MalformedRecordError("not an activity: user_id is not an integer")
    return user_id, known_at


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
