"""What the topics hold, as far as the judge needs it: parsed strictly, every record of every topic.

It shares no types with `fraudlab.pipeline.records`: a mistake there must not excuse itself here.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeGuard

import orjson

from fraudlab.pipeline.contracts import SKIPPED, Names, joined_beginning

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FILE_NUMBER = re.compile(r"[0-9]{1,18}\Z")

PAYMENT_COLUMNS = (
    "payment_key",
    "user_id",
    "amount",
    "currency",
    "type",
    "country",
    "merchant",
    "transaction_time",
    "created_at",
)

BinlogPosition = tuple[int, int, int]
"""File number, offset in the file and row of the event: the order in which MySQL committed."""


@dataclass(frozen=True)
class Activity:
    """A record of `suspicious_activities`. Times in ms since the epoch; `content` is all but `detected_at`."""

    activity_id: str
    user_id: int
    transaction_id: int
    window_start_ms: int
    window_end_ms: int
    total_eur: Decimal
    transaction_count: int
    countries: tuple[str, ...]
    transaction_ids: tuple[int, ...]
    known_by: int | None
    """The payment with which it became known; None in an activity of an earlier version."""
    created_ms: int
    detected_ms: int
    content: str


@dataclass(frozen=True)
class DeadLetter:
    """A record of `dead_letters`."""

    dead_letter_id: str
    reason: str


@dataclass(frozen=True)
class Skipped:
    """A record that a person had a job skip, by its dead letter, and what it held: a payment, a user's profile, or neither."""

    place: str
    payment: int | None = None
    profile: int | None = None


@dataclass
class Records:
    """Everything read from the topics so far, but for the records that `passed_over` names.

    Args:
        passed_over: Place to what was skipped there. It must be known before the first record is added.
    """

    passed_over: Mapping[str, Skipped] = field(default_factory=dict)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    """What the dead letters say was skipped, by place."""
    skipped_payments: set[int] = field(init=False)
    """Payments of which a record was passed over; those that came again are in `joined`."""
    captured: dict[int, BinlogPosition | None] = field(default_factory=dict)
    """Payments whose insertion is in `transactions`; the position is None where a snapshot read them."""
    joined: set[int] = field(default_factory=set)
    """Payments in `transaction_mid`."""
    behind: dict[int, int] = field(default_factory=dict)
    """Payments of skipped records that came again: in `transaction_mid`, they are behind the payment with this higher id."""
    without_profile: set[int] = field(default_factory=set)
    """Users of whom the join had no profile when a record with their profile was skipped, or did not learn that it was deleted."""
    joined_alone: set[int] = field(default_factory=set)
    """Payments that are in `transaction_mid` only without their users' profiles."""
    activities: dict[str, list[Activity]] = field(default_factory=lambda: defaultdict(list))
    unreadable_activities: list[tuple[str, str]] = field(default_factory=list)
    """Where (`topic-partition-offset`) and why."""
    dead_letters: dict[str, list[DeadLetter]] = field(default_factory=lambda: defaultdict(list))
    flag_changes: dict[int, dict[tuple[int, BinlogPosition], bool]] = field(default_factory=lambda: defaultdict(dict))
    """User to the changes of the flag, as the binlog has them; each with how many further snapshots there had been when it came."""
    miscaptured: set[int] = field(default_factory=set)
    """Payments of which `transactions` has two that differ. No payment ever changes: columns had moved when one of them was captured."""
    _snapshots: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Partition of the captured tables to how many snapshots came after its first records, and whether the binlog has been read since."""
    _rows: dict[int, int] = field(default_factory=dict)
    _highest: dict[str, int] = field(default_factory=dict)
    """Partition of `transaction_mid` to the highest id of a payment there."""
    _profiles: set[int] = field(default_factory=set)
    _dropped: set[str] = field(default_factory=set)
    """How payments begin that the detector passes over from a skipped record on."""
    _captured_after: dict[int, int] = field(default_factory=dict)
    """Payment to how many further snapshots there had been when it first came."""

    def __post_init__(self) -> None:
        self.skipped_payments = {one.payment for one in self.passed_over.values() if one.payment is not None}

    def add(self, names: Names, topic: str, place: str, value: bytes | None) -> None:
        """Takes in one record. What is no envelope or payment in the CDC and join topics proves nothing: left out.

        Args:
            names: Which topic is which.
            topic: The topic it comes from.
            place: `topic-partition-offset`.
            value: The record's value; None (a tombstone) is passed over.
        """
        if value is None:
            return
        if topic == names.suspicious_activities:
            try:
                activity = parse_activity(value)
            except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
                self.unreadable_activities.append((place, f"cannot be read: {error!r:.200}"))
                return
            self.activities[activity.activity_id].append(activity)
            return
        record = _json_object(value)
        if topic == names.dead_letters:
            letter_id, reason = record.get("dead_letter_id"), record.get("reason")
            letter = DeadLetter(_text_or(letter_id, place), _text_or(reason, ""))
            self.dead_letters[letter.dead_letter_id].append(letter)
            if letter.reason == SKIPPED:
                self.skipped[letter.dead_letter_id] = _skipped(names, letter.dead_letter_id, record)
        elif topic == names.user_profile:
            self._add_profile(record, place.rpartition("-")[0], is_read=place not in self.passed_over)
        elif place in self.passed_over:
            self._dropped |= {joined_beginning(value)} - {""} if topic == names.transaction_mid else set()
        elif self._dropped and topic == names.transaction_mid and joined_beginning(value) in self._dropped:
            return  # the same payment again
        elif topic == names.transactions:
            self._add_payment(record, place.rpartition("-")[0])
        elif topic == names.transaction_mid and type(record.get("transaction_id")) is int:
            has_profile = record.get("user_suspicious_activity") is not None
            self._add_joined(record["transaction_id"], place.rpartition("-")[0], has_profile=has_profile)

    def _add_payment(self, envelope: dict[str, Any], partition: str) -> None:
        after, snapshots = envelope.get("after"), self._snapshots_at(envelope, partition)
        if envelope.get("op") not in ("c", "r") or not isinstance(after, dict):
            return
        transaction_id, position = after.get("transaction_id"), binlog_position(envelope)
        if not _is_transaction_id(transaction_id) or type(after.get("user_id")) is not int:
            return
        row = hash(tuple(str(after.get(column)) for column in PAYMENT_COLUMNS))
        if self._rows.setdefault(transaction_id, row) != row:
            self.miscaptured.add(transaction_id)
        if position or transaction_id not in self.captured:
            self.captured[transaction_id] = position
            self._captured_after.setdefault(transaction_id, snapshots)

    def _snapshots_at(self, envelope: dict[str, Any], partition: str) -> int:
        """How many snapshots have begun in a partition since its first change from the binlog."""
        snapshots, reads_binlog = self._snapshots.get(partition, (0, False))
        if binlog_position(envelope):
            reads_binlog = True
        elif envelope.get("op") == "r" and reads_binlog:
            snapshots, reads_binlog = snapshots + 1, False
        self._snapshots[partition] = snapshots, reads_binlog
        return snapshots

    def _add_joined(self, transaction_id: int, partition: str, *, has_profile: bool) -> None:
        highest = self._highest.get(partition, 0)
        if transaction_id in self.skipped_payments and transaction_id not in self.joined and transaction_id < highest:
            self.behind[transaction_id] = highest
        if has_profile:
            self.joined_alone.discard(transaction_id)
        elif transaction_id not in self.joined:
            self.joined_alone.add(transaction_id)
        self.joined.add(transaction_id)
        self._highest[partition] = max(highest, transaction_id)

    def _add_profile(self, envelope: dict[str, Any], partition: str, *, is_read: bool) -> None:
        snapshots = self._snapshots_at(envelope, partition)
        user_id = _user_of(envelope)
        if user_id is not None and is_read:
            self._profiles.add(user_id)
        elif user_id is not None and (user_id not in self._profiles or envelope.get("op") == "d"):
            self.without_profile.add(user_id)
        before, after, position = envelope.get("before"), envelope.get("after"), binlog_position(envelope)
        if position and isinstance(before, dict) and isinstance(after, dict):
            was, is_now = bool(before.get("suspicious_activities")), bool(after.get("suspicious_activities"))
            if was != is_now and type(after.get("user_id")) is int:
                self.flag_changes[after["user_id"]][snapshots, position] = is_now

    @property
    def uncounted(self) -> set[int]:
        """Payments that did not reach the detector, because their records were skipped."""
        return self.skipped_payments - self.joined

    def overtaken(self) -> dict[int, tuple[int, int]]:
        """Payments that came to the detector after one with a higher id: behind which, and in which place behind it (1, 2, …).

        All others came in the order of their ids, as a snapshot reads them. MySQL's commits give the order, but for skipped records.
        """
        highest, place = 0, 0
        behind: dict[int, tuple[int, int]] = {}
        # Positions tell the order between two snapshots. After a further one the binlog may have begun again.
        for transaction_id, _ in sorted(
            self.captured.items(), key=lambda one: (self._captured_after.get(one[0], 0), one[1] or (), one[0])
        ):
            if transaction_id > highest:
                highest, place = transaction_id, 0
            else:
                place += 1
                behind[transaction_id] = highest, place
        after_all = len(self.captured) + 1
        return behind | {one: (highest, after_all + n) for n, (one, highest) in enumerate(self.behind.items())}

    def was_stopped_at(self, user_id: int, transaction_id: int, *, otherwise: bool) -> bool:
        """Whether the account was stopped when the payment was committed, by the binlog; `otherwise` where that is silent.

        It is silent, too, where it has the same change before and after the payment: the opposite one between them was never captured.
        Positions on both sides of a further snapshot have no order: the binlog may have begun again.
        """
        position, snapshots = self.captured.get(transaction_id), self._captured_after.get(transaction_id, 0)
        known = self.flag_changes.get(user_id, {})
        changes = {at: stopped for (since, at), stopped in known.items() if since == snapshots}
        if position is None or not changes:
            return otherwise
        last = max((at for at in changes if at < position), default=None)
        following = min((at for at in changes if at > position), default=None)
        if last is None:
            return not changes[following] if following is not None else otherwise
        if following is not None and changes[last] == changes[following]:
            return otherwise
        return changes[last]


def _skipped(names: Names, place: str, letter: dict[str, Any]) -> Skipped:
    payload = letter.get("payload")
    record = _json_object(payload.encode("utf-8", "replace")) if type(payload) is str else {}
    after = record.get("after") if letter.get("topic") == names.transactions else record
    if letter.get("topic") == names.user_profile:
        return Skipped(place, profile=_user_of(record))
    payment = after.get("transaction_id") if isinstance(after, dict) else None
    return Skipped(place, payment=payment if _is_transaction_id(payment) else None)


def _user_of(envelope: dict[str, Any]) -> int | None:
    row = envelope.get("after") or envelope.get("before")
    user_id = row.get("user_id") if isinstance(row, dict) else None
    return user_id if type(user_id) is int else None


def parse_activity(value: bytes) -> Activity:
    """One record of `suspicious_activities`.

    Raises:
        KeyError, TypeError, ValueError, ArithmeticError, RecursionError: A field is missing or not as agreed.
    """
    record = json.loads(value, parse_float=Decimal)
    if not isinstance(record, dict):
        raise TypeError("not a JSON object")
    return Activity(
        activity_id=_text(record["activity_id"]),
        user_id=_exactly(int, record["user_id"]),
        transaction_id=_transaction_id(record["transaction_id"]),
        window_start_ms=epoch_ms(record["window_start"]),
        window_end_ms=epoch_ms(record["window_end"]),
        total_eur=_finite(record["total_amount_eur"]),
        transaction_count=_exactly(int, record["transaction_count"]),
        countries=tuple(_text(country) for country in record["countries"]),
        transaction_ids=tuple(_transaction_id(each) for each in record["transaction_ids"]),
        known_by=_transaction_id(record["known_by"]) if "known_by" in record else None,
        created_ms=epoch_ms(record["created_at"]),
        detected_ms=epoch_ms(record["detected_at"]),
        content=json.dumps({key: record[key] for key in sorted(record) if key != "detected_at"}, default=str),
    )


def epoch_ms(time: str) -> int:
    """Milliseconds since the epoch of an ISO 8601 time with its zone. Raises ValueError for one without."""
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {time}")
    return (moment - EPOCH) // timedelta(milliseconds=1)


def binlog_position(envelope: dict[str, Any]) -> BinlogPosition | None:
    """Where in the binlog a Debezium envelope's change is; None for what a snapshot read, or where it does not say."""
    source = envelope.get("source")
    if not isinstance(source, dict) or envelope.get("op") == "r":
        return None
    file, pos, row = source.get("file"), source.get("pos"), source.get("row") or 0
    number = _FILE_NUMBER.search(file) if type(file) is str else None
    if number is None or type(pos) is not int or type(row) is not int:
        return None
    return int(number[0]), pos, row


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _text(value: Any) -> str:
    """A string that can be printed. Raises UnicodeEncodeError, a ValueError, for half a surrogate pair."""
    text: str = _exactly(str, value)
    text.encode()
    return text


def _text_or(value: Any, otherwise: str) -> str:
    return value if type(value) is str and value else otherwise


def _is_transaction_id(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 < value < 2**63


def _transaction_id(value: Any) -> int:
    if not _is_transaction_id(_exactly(int, value)):
        raise ValueError("not an id of a payment")
    return int(value)


def _finite(value: Any) -> Decimal:
    amount = Decimal(value)
    if not amount.is_finite():
        raise ValueError(f"{value!r} is no amount")
    return amount


def _json_object(value: bytes) -> dict[str, Any]:
    try:
        loaded = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
