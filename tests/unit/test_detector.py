"""The detector's timer, and what waits for a profile: its function called as Flink calls it, with a state and a clock of the test's."""

import gc
import pickle
import re
import struct
from collections.abc import Iterator
from importlib import resources
from typing import Any

import orjson
import pytest

from fraudlab.pipeline.contracts import Names
from fraudlab.pipeline.detector import CLOCK_SKEW_MS, NO_PROFILE, GuardedDetector, PoisonRecordError
from fraudlab.pipeline.history import has_payments
from fraudlab.pipeline.history_layout import HEADER, ROW
from fraudlab.pipeline.records import encode, iso
from fraudlab.pipeline.rule import Rule
from fraudlab.pipeline.state import FORMAT, UserState
from fraudlab.settings import REPOSITORY

NAMES = Names()
RULE = Rule()
NOON_MS = 1_767_268_800_000  # 2026-01-01T12:00:00Z
QUIET_MS = RULE.quiet_ms + CLOCK_SKEW_MS
MINUTE = 60_000


class OneUser:
    """The state of one user, and Flink's clock and timers: what a keyed function sees of Flink."""

    def __init__(self, rule: Rule = RULE) -> None:
        self.now_ms = NOON_MS
        self.timers: list[int] = []
        self.state: Any = None
        self._detector = GuardedDetector(rule, NAMES)
        self._detector.open(self)
        self._offset = 0

    def get_state(self, _descriptor: object) -> "OneUser":
        return self

    def value(self) -> Any:
        return self.state

    def update(self, value: Any) -> None:
        self.state = value

    @property
    def kept(self) -> Any:
        return UserState(self).value()

    def timer_service(self) -> "OneUser":
        return self

    def current_processing_time(self) -> int:
        return self.now_ms

    def register_processing_time_timer(self, at_ms: int) -> None:
        self.timers.append(at_ms)

    def pay(
        self, number: int, country: str, *, profile: bool = True, user: int = 7
    ) -> list[tuple[str, dict[str, Any]]]:
        """600 EUR, now; gives what comes of it: topic and record."""
        record = {
            "transaction_id": number,
            "user_id": user,
            "user_first_name": "Ada" if profile else None,
            "user_suspicious_activity": False if profile else None,
            "transaction_amount": "600.00",
            "transaction_currency": "EUR",
            "transaction_country": country,
            "transaction_time": iso(self.now_ms),
            "created_at": iso(self.now_ms),
        }
        self._offset += 1
        return self._read(self._detector.process_element(f"3:{self._offset}:{orjson.dumps(record).decode()}", self))

    def pass_time(self, minutes: float) -> None:
        self.now_ms += round(minutes * MINUTE)

    def wake_up(self) -> list[tuple[str, dict[str, Any]]]:
        """Lets the next timer fire; gives what comes of it."""
        self.now_ms = self.timers.pop(0)
        return self._read(self._detector.on_timer(self.now_ms, self))

    def another_user_pays(self) -> None:
        """On the same task: it only moves the bank's clock."""
        mine, timers, self.state = self.state, list(self.timers), None
        self.pay(10**9 + self._offset, "DE", user=8)
        self.state, self.timers = mine, timers

    @staticmethod
    def _read(rows: Iterator[Any]) -> list[tuple[str, dict[str, Any]]]:
        return [(topic, orjson.loads(message)) for topic, _, message in rows]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records may lie years ahead of this machine's clock, and the tests' own garbage is not for ever."""
    monkeypatch.setattr("time.time_ns", lambda: 10**19)
    monkeypatch.setattr(gc, "freeze", lambda: None)


def test_a_user_is_looked_at_again_when_nothing_that_is_still_to_come_can_reach_back() -> None:
    user = OneUser()
    user.pay(1, "DE")
    user.pass_time(5)
    user.pay(2, "DE")
    assert user.timers == [NOON_MS + QUIET_MS], "one timer, however many payments"


def test_the_payments_of_a_quiet_user_are_forgotten() -> None:
    user = OneUser()
    user.pay(1, "DE")
    user.pass_time(QUIET_MS / MINUTE + 1)
    user.another_user_pays()
    assert user.wake_up() == []
    history, waiting = user.kept
    assert not has_payments(history)
    assert waiting == ()
    assert user.timers == [], "there is nothing to wake up for"
    assert user.pay(1, "FR") == [], "what was counted is still known"
    user.pay(2, "DE")
    assert len(user.timers) == 1, "and with the next payment it is looked at again"


def test_a_user_is_not_quiet_before_the_banks_clock_says_so() -> None:
    """Flink's clock may be far ahead of the bank's: after a long stop, old payments come now."""
    user = OneUser()
    user.pay(1, "DE")
    assert user.wake_up() == []
    assert has_payments(user.kept[0])
    assert user.timers == [NOON_MS + 2 * QUIET_MS], "it looks again later"
    user.now_ms = NOON_MS + QUIET_MS
    user.another_user_pays()
    user.wake_up()
    assert has_payments(user.kept[0]), "and not a millisecond too early"


def test_a_user_who_has_paid_since_is_not_quiet() -> None:
    user = OneUser()
    user.pay(1, "DE")
    user.pass_time(QUIET_MS / MINUTE - 1)
    user.pay(2, "DE")
    user.pass_time(2)
    user.another_user_pays()
    user.wake_up()
    assert has_payments(user.kept[0])
    assert len(user.timers) == 1


def test_an_activity_waits_for_the_profile_and_no_longer_than_the_patience() -> None:
    user = OneUser()
    user.pay(1, "DE", profile=False)
    user.pass_time(1)
    assert user.pay(2, "FR", profile=False) == []
    user.now_ms += RULE.profile_patience_ms
    assert user.pay(3, "FR", profile=False) == [], "the patience is not over before its last millisecond has passed"
    user.now_ms += 1
    ((topic, letter),) = user.pay(4, "FR", profile=False)
    assert (topic, letter["dead_letter_id"], letter["reason"]) == (NAMES.dead_letters, "activity-2", NO_PROFILE)
    assert (letter["topic"], letter["partition"], letter["offset"]) == (NAMES.transaction_mid, 3, 2)
    raised = user.pay(5, "FR")
    assert [(topic, one["transaction_id"]) for topic, one in raised] == [
        (NAMES.suspicious_activities, number) for number in (3, 4, 5)
    ]
    assert {one["user_first_name"] for _, one in raised} == {"Ada"}


def test_what_waits_for_a_profile_that_never_comes_does_not_grow_for_ever() -> None:
    user = OneUser()
    letters = []
    for number in range(1, 101):
        letters += user.pay(number, ("DE", "FR")[number % 2], profile=False)
        user.pass_time(1)
    waiting = user.kept[1]
    assert len(waiting) == 11, "one a minute, for ten minutes"
    assert [one["transaction_id"] for _, one in letters] == list(range(2, 90)), "each is told, and once"


def test_a_quiet_user_who_never_had_a_profile_leaves_nothing_behind() -> None:
    user = OneUser()
    user.pay(1, "DE", profile=False)
    user.pay(2, "FR", profile=False)
    user.pass_time(QUIET_MS / MINUTE + 1)
    user.another_user_pays()
    assert [one["dead_letter_id"] for _, one in user.wake_up()] == ["activity-1", "activity-2"]
    assert user.kept[1] == ()


# Poison


def test_a_record_that_raises_is_a_dead_letter_and_leaves_the_state_as_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    user = OneUser()
    user.pay(1, "DE")
    before = user.state
    user.pass_time(1)

    def fails(*_: object) -> None:
        raise OverflowError("date value out of range \ud800")

    with monkeypatch.context() as broken:
        broken.setattr("fraudlab.pipeline.detector.judge", fails)
        ((topic, letter),) = user.pay(2, "FR")
    assert topic == NAMES.dead_letters
    assert letter["reason"] == "unexpected OverflowError: date value out of range ?"
    assert (letter["dead_letter_id"], letter["offset"]) == ("transaction_mid-3-2", 2)
    assert "OverflowError" in caplog.text, "it can be looked up"
    assert user.state is before
    assert [one["transaction_id"] for _, one in user.pay(3, "FR")] == [3], "the next one goes on"


def test_what_flink_itself_raises_is_no_dead_letter_and_names_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable state would turn every record into a dead letter."""
    user = OneUser()
    monkeypatch.setattr(user, "value", lambda: (_ for _ in ()).throw(RuntimeError("java.lang.InterruptedException")))
    with pytest.raises(
        PoisonRecordError, match=r"^while processing the record transaction_mid-3-1: RuntimeError: java"
    ):
        user.pay(1, "DE")


def test_poison_03_two_payments_at_the_beginning_of_time_are_dead_letters() -> None:
    """poison-03: two records of one user at 0001-01-01T00:00:00Z and half an hour later; their hour begins before the year 1."""
    user = OneUser()
    for offset, moment in enumerate(("0001-01-01T00:00:00Z", "0001-01-01T00:30:00Z")):
        record = {
            "transaction_id": offset + 1,
            "user_id": 7,
            "transaction_amount": "2000.00",
            "transaction_currency": "EUR",
            "transaction_country": ("DE", "JP")[offset],
            "transaction_time": moment,
            "created_at": moment,
        }
        value = f"3:{offset}:{orjson.dumps(record).decode()}"
        ((topic, letter),) = user._read(user._detector.process_element(value, user))
        assert (topic, letter["transaction_id"]) == (NAMES.dead_letters, offset + 1)
        assert "is no time that a TIMESTAMP of MySQL holds" in letter["reason"]


def test_state_is_bytes_that_only_describe_data() -> None:
    user = OneUser()
    user.pay(1, "DE", profile=False)
    user.pay(2, "FR", profile=False)
    history, waiting = user.kept
    assert isinstance(user.state, bytes)
    assert user.state[0] == FORMAT
    assert has_payments(history)
    assert [activity.activity_id for *_, activity in waiting] == ["activity-1", "activity-2"]
    assert user.state[user.state.index(history) + len(history) :] == encode(waiting)


def test_the_shortcut_in_java_knows_the_layout_of_the_state() -> None:
    """The class says which format it knows; with another number everything goes to Python, which is slow but exact."""
    code = resources.files("fraudlab.pipeline").joinpath("java", "PaymentsAtHome.java").read_text(encoding="utf-8")
    known = {name: int(value) for name, value in re.findall(r"int ([A-Z_]+) = ([0-9]+);", code)}
    history = struct.calcsize("<BI")
    expected = {
        "FORMAT": FORMAT,
        "LENGTH_AT": 1,
        "TIME_AT": history,
        "ID_AT": history + 8,
        "SPENT_AT": history + 24,
        "COUNTRY_AT": history + 32,
        "OTHER_COUNTRIES_AT": history + 34,
        "ROWS_AT": history + HEADER.size,
        "ROW": ROW.size,
    }
    assert expected.items() <= known.items()


class Harm:
    """An object whose unpickling would raise."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was unpickled",)


def test_pickled_state_that_somebody_else_wrote_is_refused_and_not_unpickled() -> None:
    user = OneUser()
    user.state = pickle.dumps((Harm(), ()))
    with pytest.raises(PoisonRecordError, match="fraudlab reset"):
        user.pay(1, "DE")


def test_state_of_another_layout_is_refused() -> None:
    user = OneUser()
    user.pay(1, "DE")
    assert user.state[0] == FORMAT
    user.state = bytes((FORMAT - 1,)) + user.state[1:]
    with pytest.raises(PoisonRecordError, match="fraudlab reset"):
        user.pay(2, "DE")


def test_no_state_of_ours_is_of_a_type_whose_values_pyflink_pickles() -> None:
    """In thread mode those are rows and tuples, too. Solutions are looked at as well: learners copy them."""
    sources = [*REPOSITORY.glob("fraudlab/pipeline/*.py"), *REPOSITORY.glob("solutions/*.ipynb")]
    states = [
        (path.name, found)
        for path in sources
        for found in re.findall(r"StateDescriptor\([^\n]*", path.read_text(encoding="utf-8"))
    ]
    assert len(states) >= 2
    assert not [state for state in states if re.search(r"PICKLED|ROW|TUPLE", state[1])]


# The bytes on the topics

JOINED = (
    '{"transaction_id":4,"user_id":42,"user_first_name":null,"user_last_name":null,"user_email":null,"user_phone_number":null,'
    '"user_home_country":null,"user_suspicious_activity":null,"transaction_amount":"600.00","transaction_currency":"EUR",'
    '"transaction_type":"online","transaction_country":"DE","transaction_merchant":"Sklep Ω",'
    '"transaction_time":"2026-07-01T11:32:03Z","created_at":"2026-07-01T11:32:03.1Z"}',
    '{"transaction_id":5,"user_id":42,"user_first_name":null,"user_last_name":null,"user_email":null,"user_phone_number":null,'
    '"user_home_country":null,"user_suspicious_activity":null,"transaction_amount":"600.07","transaction_currency":"EUR",'
    '"transaction_type":"online","transaction_country":"FR","transaction_merchant":"Sklep Ω",'
    '"transaction_time":"2026-07-01T12:02:03Z","created_at":"2026-07-01T12:02:03.4Z"}',
    '{"transaction_id":5,"user_id":42,"user_first_name":"Łucja","user_last_name":null,"user_email":"lucja \\"L\\" <l@example.org>",'
    '"user_phone_number":"+49 30 \u2028 1234567","user_home_country":"DE","user_suspicious_activity":false,'
    '"transaction_amount":"600.07","transaction_currency":"EUR","transaction_type":"online","transaction_country":"FR",'
    '"transaction_merchant":"Sklep Ω","transaction_time":"2026-07-01T12:02:03Z","created_at":"2026-07-01T12:02:03.4Z"}',
)
"""Three records as the join writes them: a theft whose profile comes afterwards."""
PENDING = (
    '{"activity_id":"activity-5","user_id":42,"user_suspicious_activity":true,"rule":"2-countries-in-3600-s",'
    '"window_start":"2026-07-01T11:02:03.000Z","window_end":"2026-07-01T12:02:03.000Z","total_amount_eur":"1200.07",'
    '"transaction_count":2,"countries":["DE","FR"],"transaction_ids":[4,5],"transaction_id":5,"known_by":5,'
    '"created_at":"2026-07-01T12:02:03.4Z"}'
)
RAISED = (
    PENDING[:-1] + ',"user_first_name":"Łucja","user_last_name":null,"user_email":"lucja \\"L\\" <l@example.org>",'
    '"user_phone_number":"+49 30 \u2028 1234567","detected_at":"2026-07-01T12:02:03.017Z"}'
)
"""What was written of it before there were types: readers of every version know these bytes."""


def test_the_bytes_of_an_activity_are_those_of_the_stored_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_782_907_323_017_000_000)
    user = OneUser()
    *unknown, known = JOINED
    for offset, value in enumerate(unknown):
        assert list(user._detector.process_element(f"3:{offset}:{value}", user)) == []
    assert user.state.endswith(f'[[{NOON_MS},"3","1",{PENDING}]]'.encode()), "what waits in the state has the same form"
    ((topic, key, message),) = user._detector.process_element(f"3:2:{known}", user)
    assert (topic, key) == (NAMES.suspicious_activities, "42")
    assert message == RAISED


def test_an_activity_that_is_given_up_is_the_payload_of_its_dead_letter() -> None:
    user = OneUser()
    user.now_ms = 1_782_907_323_400
    for offset, value in enumerate(JOINED[:2]):
        list(user._detector.process_element(f"3:{offset}:{value}", user))
    user.now_ms += RULE.profile_patience_ms + 1
    ((_, letter),) = user.pay(6, "DE", profile=False, user=42)
    assert letter["payload"] == PENDING


def test_a_profile_of_other_types_is_passed_on_as_it_is() -> None:
    """An account is stopped whatever its profile holds; the notifier is the one who cannot use it."""
    user = OneUser()
    user.pay(1, "DE")
    record = orjson.loads(JOINED[2]) | {"user_first_name": 7, "user_email": ["a@example.com"], "another_field": 1}
    record |= {"transaction_time": iso(NOON_MS + MINUTE), "created_at": iso(NOON_MS + MINUTE)}
    ((_, activity),) = user._read(user._detector.process_element(f"3:9:{orjson.dumps(record).decode()}", user))
    assert (activity["user_first_name"], activity["user_email"]) == (7, ["a@example.com"])
    assert "another_field" not in activity
