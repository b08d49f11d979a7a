"""The detector's rule in Quix Streams: state in RocksDB, without changelog topics, so a lost disk loses it. At least once."""

import uuid
from itertools import count
from typing import Any

from quixstreams import Application, State
from quixstreams.kafka import ConnectionConfig
from task import Task, ready


def main() -> None:
    task = ready()
    options = {name.replace(".", "_"): value for name, value in task.kafka.items()}
    app = Application(
        broker_address=ConnectionConfig(**options),
        consumer_group=f"bench-quix-{uuid.uuid4()}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        use_changelog_topics=False,
        state_dir=task.folder,
        loglevel="WARNING",
    )
    seen = count(1)

    def judged(record: dict[str, Any], state: State) -> dict[str, Any] | None:
        if next(seen) == task.count:  # Quix's own count is of what it writes
            app.stop()
        return judge(task, record, state)

    payments = app.dataframe(app.topic(task.source, value_deserializer="json"))
    found = payments.apply(judged, stateful=True)
    found = found.filter(lambda one: one is not None)
    found.to_topic(app.topic(task.sink, value_serializer="json"))
    app.run()


def judge(task: Task, record: dict[str, Any], state: State) -> dict[str, Any] | None:
    """Adds a payment to its user's hour."""
    hour, found = task.judged(state.get("hour") or [], record)
    state.set("hour", hour)
    return found


if __name__ == "__main__":
    main()
