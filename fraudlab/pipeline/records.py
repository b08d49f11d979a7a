"""The records of the pipeline's topics as types: field, JSON type, format, meaning and example, each said once.

The fields have the types that JSON has: a time is a string (`moment` and `iso` translate), and so is an amount of money. docs/records.md
is written from here (`python docs/tables.py`). `fraudlab/verification` doesn't use these types: the judge reads the topics independently.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import orjson
from msgspec import Meta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _format(format_: str) -> Meta:
    return Meta(extra={"format": format_})


def _says(meaning: str, example: object) -> Meta:
    return Meta(description=meaning, examples=[example])


Text = Annotated[str, _format("text")]
Flag = Annotated[bool, _format("flag")]
Count = Annotated[int, Meta(ge=0), _format("count")]
Moment = Annotated[str, _format("ISO 8601 with time zone")]
EpochMs = Annotated[int, _format("ms since the epoch")]
Amount = Annotated[str, _format("decimal with two decimals")]
Euros = Annotated[str, _format("EUR, decimal with two decimals")]
Country = Annotated[str, _format("ISO 3166-1 alpha-2")]
Currency = Annotated[str, _format("ISO 4217")]
UserId = Annotated[int, Meta(ge=-(2**31), lt=2**31), _format("INT of MySQL")]
PaymentId = Annotated[int, Meta(gt=0, le=2**63 - 1), _format("positive BIGINT of MySQL")]
ActivityId = Annotated[str, Meta(min_length=1, max_length=64), _format("`activity-` and the payment's id")]
Row = Annotated[dict[str, Any], _format("a field for each column")]


class MalformedRecordError(ValueError):
    """A record that cannot be used. Its text is the reason, for readers of `dead_letters`."""

    def __init__(self, reason: str, transaction_id: int | None = None) -> None:
        super().__init__(reason)
        self.transaction_id = transaction_id


class Source(msgspec.Struct):
    """Where a change comes from: the field `source` of an envelope, without the fields that nothing here reads."""

    table: Annotated[Text | None, _says("the table", "transactions")] = None
    ts_ms: Annotated[
        EpochMs | None, _says("when MySQL made the change, in whole seconds; 0 for a row of a snapshot", 1782907323000)
    ] = None
    gtid: Annotated[Text | None, _says("the transaction's GTID; null if MySQL assigns none", None)] = None
    file: Annotated[Text | None, _says("the file of the binlog", "binlog.000002")] = None
    pos: Annotated[Annotated[int, _format("bytes")] | None, _says("the event's position in that file", 4711)] = None
    row: Annotated[Annotated[int, _format("count")] | None, _says("which row of the event, from 0", 0)] = None


class Change(msgspec.Struct):
    """A change of a row: an envelope as far as the join reads it. For the join, one without `source` is a change, too."""

    op: Annotated[Text, _says("`c`: inserted, `u`: updated, `d`: deleted, `r`: read by a snapshot", "c")]
    before: Annotated[Row | None, _says("the row before an update or a deletion", None)] = None
    after: Annotated[
        Row | None, _says("the row after the change; null for a deletion", {"transaction_id": 5, "user_id": 42})
    ] = None

    @property
    def row(self) -> dict[str, Any] | None:
        """The row that the change is about: as it is now; a deleted one as it was."""
        return self.before if self.op == "d" else self.after


class Envelope(Change):
    """A change of a row: a record of `user_profile` or `transactions`, as Debezium writes it, without the fields that nothing here reads.

    In a row, a DECIMAL is a string with all its decimals, a TIMESTAMP a string (ISO 8601, UTC), a BOOLEAN 0 or 1.
    """

    source: Annotated[
        Annotated[Source, _format("see below")] | None,
        _says("where the change comes from", {"table": "transactions", "pos": 4711}),
    ] = None
    ts_ms: Annotated[EpochMs | None, _says("when Debezium read the change", 1782907323050)] = None


class JoinedTransaction(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """A payment with its user: a record of `transaction_mid`, as the SQL join writes it.

    While the profile of the user is unknown, its fields are null. With each change of the profile the payment comes again.
    """

    transaction_id: Annotated[PaymentId, _says("the payment", 5)]
    user_id: Annotated[UserId, _says("the user who pays; also the record's key", 42)]
    user_first_name: Annotated[Text | None, _says("from the profile", "Ada")] = None
    user_last_name: Annotated[Text | None, _says("from the profile", "Lovelace")] = None
    user_email: Annotated[Text | None, _says("from the profile", "ada@example.com")] = None
    user_phone_number: Annotated[Text | None, _says("from the profile", "+49 30 1234567")] = None
    user_home_country: Annotated[Country | None, _says("from the profile", "DE")] = None
    user_suspicious_activity: Annotated[
        Flag | None, _says("whether the account is stopped; null while the profile is unknown", False)
    ] = None
    transaction_amount: Annotated[Amount, _says("the amount, in the payment's currency", "600.00")]
    transaction_currency: Annotated[Currency, _says("its currency", "EUR")]
    transaction_type: Annotated[Text | None, _says("the kind of payment", "online")] = None
    transaction_country: Annotated[Country, _says("where the user paid", "FR")]
    transaction_merchant: Annotated[Text | None, _says("the merchant", "Books and more")] = None
    transaction_time: Annotated[Moment, _says("when the payment happened (event time)", "2026-07-01T12:02:03Z")]
    created_at: Annotated[Moment, _says("when the bank stored it, by MySQL's clock", "2026-07-01T12:02:03.004Z")]


class PendingActivity(msgspec.Struct, kw_only=True):
    """An activity while the profile of its user is unknown. It waits in the detector's state."""

    activity_id: Annotated[ActivityId, _says("the same after a replay: readers deduplicate by it", "activity-5")]
    user_id: Annotated[UserId, _says("the user who paid; also the record's key", 42)]
    user_suspicious_activity: Annotated[Flag, _says("always true", True)] = True
    rule: Annotated[Text, _says("the rule that the hour meets", "2-countries-in-3600-s")]
    window_start: Annotated[Moment, _says("where the window begins; exclusive", "2026-07-01T11:02:03.000Z")]
    window_end: Annotated[
        Moment, _says("where the window ends: the event time of `transaction_id`", "2026-07-01T12:02:03.000Z")
    ]
    total_amount_eur: Annotated[Euros, _says("the sum of the payments in the window", "1200.00")]
    transaction_count: Annotated[Count, _says("how many payments are in the window", 2)]
    countries: Annotated[list[Country], _says("the countries of these payments, sorted", ["DE", "FR"])]
    transaction_ids: Annotated[
        list[PaymentId], _says("the payments of the hour ([see rule](jobs/fraud-detector.md#the-rule))", [4, 5])
    ]
    transaction_id: Annotated[PaymentId, _says("the payment with which the window ends", 5)]
    known_by: Annotated[
        PaymentId | None, _says("the payment that made the activity known; absent in early versions", 5)
    ] = None
    created_at: Annotated[
        Moment, _says("when the bank stored `known_by`, by MySQL's clock", "2026-07-01T12:02:03.004Z")
    ]

    def with_profile(self, record: JoinedTransaction, detected_at: str) -> "Activity":
        """The activity, complete. `record` is a payment of the user, with the profile."""
        return Activity(
            **msgspec.structs.asdict(self),
            user_first_name=record.user_first_name,
            user_last_name=record.user_last_name,
            user_email=record.user_email,
            user_phone_number=record.user_phone_number,
            detected_at=detected_at,
        )


class Activity(PendingActivity, kw_only=True):
    """A suspicious hour: a record of `suspicious_activities`, as the detector writes it."""

    user_first_name: Annotated[Text | None, _says("from the profile", "Ada")]
    user_last_name: Annotated[Text | None, _says("from the profile", "Lovelace")]
    user_email: Annotated[Text | None, _says("from the profile", "ada@example.com")]
    user_phone_number: Annotated[Text | None, _says("from the profile", "+49 30 1234567")]
    detected_at: Annotated[
        Moment, _says("when the detector wrote it; a replay changes only this field", "2026-07-01T12:02:03.017Z")
    ]


Changed = TypeVar("Changed", Change, Envelope)
Shape = TypeVar("Shape", Source, Envelope, JoinedTransaction, Activity)

encode = msgspec.json.Encoder().encode
"""The JSON of a record."""
_decode_activity = msgspec.json.Decoder(Activity).decode


def read_activity(value: bytes | str | dict[str, Any] | None) -> Activity:
    """The activity in a record's value, or in the JSON object in it.

    Raises:
        MalformedRecordError: It is not JSON, or a field is missing or of another type.
    """
    try:
        return msgspec.convert(value, Activity) if isinstance(value, dict) else _decode_activity(value or b"")
    except (ValueError, RecursionError) as error:
        raise MalformedRecordError(f"not an activity: {error}") from None


def read_change(value: bytes | None) -> Change | None:
    """The change in a record's value; None of a tombstone and of what is none."""
    return _converted(value, Change)


def read_envelope(value: bytes | None) -> Envelope | None:
    """The same with the place it comes from."""
    return _converted(value, Envelope)


def _converted(value: bytes | None, kind: type[Changed]) -> Changed | None:
    try:
        # msgspec alone would give integers of any length in a row; orjson makes floats of those.
        return msgspec.convert(orjson.loads(value or b""), kind)
    except ValueError:
        return None


def moment(text: str) -> datetime:
    """A time in a record. Raises ValueError for what is none, or has no time zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without a time zone: {text}")
    return at


def epoch_ms(text: str) -> int:
    """A time in a record, in ms since the epoch. Raises ValueError for what is none, or has no time zone."""
    return round(moment(text).timestamp() * 1000)


def iso(time_ms: int) -> str:
    """A moment in ms since the epoch as ISO 8601 in UTC with milliseconds, `2026-01-31T12:00:00.123Z`."""
    return (_EPOCH + time_ms * _MILLISECOND).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def example(kind: type[Shape], **changes: object) -> Shape:
    """A record made of its fields' examples, with changes: for tests, measurements and documents."""
    examples = {name: (metas[-1].examples or [None])[0] for name, _, metas in fields(kind)}
    return msgspec.convert(examples | changes, kind)


@cache
def fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any, list[Meta]], ...]:
    """Name, type and annotations of each field. The last annotation has its meaning and an example."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, *_unwrapped(hints[name])) for name in kind.__struct_fields__)


def _unwrapped(hint: Any) -> tuple[Any, list[Meta]]:
    """A type without its annotations, and these; they include those of the types in a union or a list."""
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        plain, said = _unwrapped(inner)
        return plain, [*said, *metas]
    arguments = get_args(hint)
    said = [meta for one in arguments for meta in _unwrapped(one)[1]]
    return hint, said
