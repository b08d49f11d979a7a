"""A notifier without a pipeline: the test writes the activities, the notifier tells the people."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec
import orjson

from fraudlab import system
from fraudlab.pipeline.records import Activity, example, iso
from fraudlab.settings import Settings
from tests.support.kafka import Record
from tests.support.lab import LearnerLab, learner_lab

_learners = count(1)


def activity(user_id: int, learner: str, at: datetime | None = None, **fields: object) -> dict[str, Any]:
    """An activity of a user, as the detector writes it, that became known now or then. `fields` may be wrong."""
    known_ms = round((at or datetime.now(UTC)).timestamp() * 1000)
    record = example(
        Activity,
        activity_id=f"activity-{user_id}",
        user_id=user_id,
        user_email=f"user{user_id}@{learner}.example.com",
        window_start=iso(known_ms - 3_600_000),
        window_end=iso(known_ms),
        transaction_ids=[1, 2],
        transaction_id=2,
        known_by=2,
        created_at=iso(known_ms),
        detected_at=iso(known_ms),
    )
    return {**msgspec.to_builtins(record), **fields}


class NotifierLab:
    """A learner's people and their notifications."""

    def __init__(self, lab: LearnerLab) -> None:
        self.lab, self.settings = lab, lab.settings

    def activity(self, user_id: int, at: datetime | None = None, **fields: object) -> Record:
        """An activity of a user, as the detector writes it, that became known now or then."""
        record = activity(user_id, self.lab.names.learner, at, **fields)
        return self.lab.topics.publish(self.lab.names.suspicious_activities, str(user_id), orjson.dumps(record))

    def rows(self, user_id: int | None = None) -> list[dict[str, Any]]:
        """The notifications of a user, or all."""
        columns = ("user_id", "episode", "channel", "status", "reason", "attempts", "message_id", "sent_at")
        where = "" if user_id is None else f"WHERE user_id = {user_id}"
        found = self.lab.query(f"SELECT {', '.join(columns)} FROM notifications {where} ORDER BY notification_id")
        return [dict(zip(columns, row, strict=True)) for row in found]

    def statuses(self, user_id: int | None = None) -> dict[str, set[str]]:
        """The states of the notifications by channel."""
        by_channel: dict[str, set[str]] = {}
        for row in self.rows(user_id):
            by_channel.setdefault(row["channel"], set()).add(row["status"])
        return by_channel

    def all_sent(self, count: int) -> bool:
        """Whether so many notifications are there, and all of them sent."""
        rows = self.rows()
        return len(rows) == count and all(row["status"] == "sent" for row in rows)

    def lag(self, service: str = "notifier") -> int:
        """How many activities the notifier, or the flagger, has not committed."""
        topic = self.lab.names.suspicious_activities
        written = len(self.lab.topics.read(topic))
        group = self.lab.names.group(service)
        admin = system.kafka(self.settings).admin()
        try:
            committed = admin.list_group_offsets(group).get(group, {})
        finally:
            admin.close()
        return written - sum(max(0, int(one.offset)) for at, one in committed.items() if at.topic == topic)


@contextmanager
def notifier_lab(settings: Settings) -> Iterator[NotifierLab]:
    """People of a learner's own, with no job and no service yet. Nothing of it is left afterwards, but for what the inbox has."""
    with learner_lab(settings, f"told{next(_learners)}") as lab:
        yield NotifierLab(lab)
