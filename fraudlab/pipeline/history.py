"""What is remembered of a user: their recent payments, and the sliding windows over them. They are kept as bytes (`history_layout`)."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from fraudlab.pipeline import history_layout as layout
from fraudlab.pipeline.history_layout import ELSEWHERE, HEADER, ROW, SPENT_MODULUS, TIME

_NEVER_MS, _FOREVER_MS = -(2**63), 2**63 - 1
_NOWHERE = b"\0\0"
_NEW = HEADER.pack(_NEVER_MS, 0, 0, 0, _NOWHERE, 0)


class Payment(NamedTuple):
    """What the rule needs to know of a transaction. `country` is ISO 3166-1 alpha-2 in ASCII bytes, as the history stores it."""

    time_ms: int
    transaction_id: int
    amount_eur_cents: int
    country: bytes


class Window(NamedTuple):
    """A user's payments in `(start_ms, end_ms]`: those with the numbers from `first` up to `end - 1`. `countries` is in no order."""

    start_ms: int
    end_ms: int
    total_eur_cents: int
    countries: list[bytes]
    first: int
    end: int


class History:
    """A user's retained payments, the oldest first, those of the same moment by id. A payment's *number* is its index among them.

    Two things make the latest window cheap, however many payments it holds. Each payment has the sum of all before it, so a
    window's total is one subtraction. The history also knows when the user last paid in each country: a window's countries are
    those with a time after its start.

    Attributes:
        latest_ms: Event time of the latest payment. It stays when the payment is forgotten.
        latest_id: Highest transaction id seen.
    """

    __slots__ = ("_country", "_elsewhere", "_forgotten_id", "_rows", "_spent", "latest_id", "latest_ms")

    def __init__(self, packed: bytes) -> None:
        """Unpacks what `pack` gave; `b""` is the history of a new user."""
        packed = packed or _NEW
        self.latest_ms, self.latest_id, self._forgotten_id, self._spent, self._country, others = HEADER.unpack_from(
            packed
        )
        rows = HEADER.size
        self._elsewhere: dict[bytes, int] = {}
        if others:
            rows += others * ELSEWHERE.size
            self._elsewhere = dict(ELSEWHERE.iter_unpack(packed[HEADER.size : rows]))
        self._rows = packed[rows:]

    def pack(self) -> bytes:
        """The bytes that remember this."""
        header = HEADER.pack(
            self.latest_ms, self.latest_id, self._forgotten_id, self._spent, self._country, len(self._elsewhere)
        )
        if self._elsewhere:
            header += b"".join([ELSEWHERE.pack(country, paid_ms) for country, paid_ms in self._elsewhere.items()])
        return header + self._rows

    @property
    def country_count(self) -> int:
        """From how many countries the retained payments come."""
        others = len(self._elsewhere)
        return others if self._country == _NOWHERE else others + 1

    def has_seen(self, time_ms: int, transaction_id: int) -> bool:
        """Whether this payment was added before. One that comes again mostly has the same time, and is found where it belongs."""
        if transaction_id <= self._forgotten_id:
            return True
        ids, number = layout.ids(self._rows), self._place(time_ms, transaction_id)
        return (number < len(ids) and ids[number] == transaction_id) or transaction_id in ids

    def add(self, payment: Payment) -> None:
        """Adds a payment. A late one changes the sums of those after it."""
        time_ms, transaction_id, cents, country = payment
        if time_ms > self.latest_ms:
            self._rows += ROW.pack(time_ms, transaction_id, self._spent, country, False)
            if country != self._country:
                if self._country != _NOWHERE:
                    self._elsewhere[self._country] = self.latest_ms
                self._elsewhere.pop(country, None)
                self._country = country
            self.latest_ms = time_ms
        else:
            self._insert(payment)
            if country != self._country and time_ms > self._elsewhere.get(country, _NEVER_MS):
                self._elsewhere[country] = time_ms
        self._spent = (self._spent + cents) % SPENT_MODULUS
        if transaction_id > self.latest_id:
            self.latest_id = transaction_id

    def _insert(self, payment: Payment) -> None:
        time_ms, transaction_id, cents, country = payment
        number = self._place(time_ms, transaction_id)
        at = number * ROW.size
        before = layout.spent(self._rows)
        spent_before = before[number] if number < len(before) else self._spent
        row = ROW.pack(time_ms, transaction_id, spent_before, country, False)
        self._rows = layout.with_more_spent(self._rows[:at] + row + self._rows[at:], number + 1, cents)

    def forget_until(self, time_ms: int) -> None:
        """Forgets the payments up to and including this event time: mostly one or none, and each once."""
        rows, at = self._rows, 0
        while at < len(rows) and TIME.unpack_from(rows, at)[0] <= time_ms:
            at += ROW.size
        if at:
            self._rows = rows[at:]
            if self._elsewhere:
                self._elsewhere = {
                    country: paid_ms for country, paid_ms in self._elsewhere.items() if paid_ms > time_ms
                }

    def windows(self, length_ms: int, from_ms: int, until_ms: int) -> Iterator[Window]:
        """The windows of a length that end at the moment of a payment in `[from_ms, until_ms)`, each once.

        The latest is known. For earlier ones, one pass goes through the payments from the start of the first window.
        """
        times, spent = layout.times(self._rows), layout.spent(self._rows)
        first = bisect_right(times, from_ms - length_ms)
        if from_ms == self.latest_ms and self._country != _NOWHERE:
            start_ms, total = from_ms - length_ms, (self._spent - spent[first]) % SPENT_MODULUS
            countries = [country for country, paid_ms in self._elsewhere.items() if paid_ms > start_ms]
            yield Window(start_ms, from_ms, total, [self._country, *countries], first, len(times))
            return
        last_paid: dict[bytes, int] = {}
        ends, sums = [*times, _FOREVER_MS], [*spent, self._spent]
        for number in range(first, bisect_left(times, until_ms)):
            end, end_ms = number + 1, ends[number]
            start_ms = end_ms - length_ms
            last_paid[layout.country(self._rows, number)] = end_ms
            while ends[first] <= start_ms:
                first += 1
            if from_ms <= end_ms < ends[end]:
                total = (sums[end] - sums[first]) % SPENT_MODULUS
                countries = [country for country, paid_ms in last_paid.items() if paid_ms > start_ms]
                yield Window(start_ms, end_ms, total, countries, first, end)

    def not_raised_at(self, time_ms: int) -> list[int]:
        """Numbers of the payments of this moment whose hours were not raised."""
        times = layout.times(self._rows)
        return layout.not_raised(self._rows, bisect_left(times, time_ms), bisect_right(times, time_ms))

    def mark_raised(self, numbers: list[int]) -> None:
        """Remembers that the hours of these payments were raised."""
        if numbers:
            self._rows = layout.with_raised(self._rows, numbers)

    def ids(self, first: int, end: int) -> tuple[int, ...]:
        """The transaction ids of the payments with these numbers."""
        return tuple(layout.ids(self._rows)[first:end])

    def _place(self, time_ms: int, transaction_id: int) -> int:
        """The number that this payment has, or would have."""
        times = layout.times(self._rows)
        first = bisect_left(times, time_ms)
        return bisect_left(layout.ids(self._rows), transaction_id, first, bisect_right(times, time_ms, first))


def quiet_since_ms(packed: bytes) -> int:
    """Event time of the user's latest payment."""
    latest_ms: int = HEADER.unpack_from(packed)[0]
    return latest_ms


def has_payments(packed: bytes) -> bool:
    """Whether payments are retained."""
    return len(packed) > HEADER.size


def forget_payments(packed: bytes) -> bytes:
    """The history without its payments: 36 bytes a user, which still distinguish late payments and duplicates from new ones."""
    latest_ms, latest_id, *_ = HEADER.unpack_from(packed)
    return HEADER.pack(latest_ms, latest_id, latest_id, 0, _NOWHERE, 0)
