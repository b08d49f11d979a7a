"""Hostile records from a seed: bytes, JSON of every kind, Unicode's edges, extreme times and numbers, truncations."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from fraudlab.pipeline.records import JoinedTransaction, example

JOINED = msgspec.to_builtins(example(JoinedTransaction))

TIMES = [
    *("", "yesterday", "2024-01-01", "2024-02-30T00:00:00Z", "24:00:00", "0000-00-00 00:00:00", "0000-01-01T00:00:00Z"),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:30:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59.999Z"),
    *("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "2038-01-19T03:14:07Z", "2038-01-19T03:14:08Z"),
    *("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59", "+10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z"),
    *("+999999999-12-31T23:59:59.999999999Z", "-999999999-01-01T00:00:00Z", "2024-01-01T00:00:00.000000000001Z"),
    *(
        "2024-01-01T00:00:00",
        "2024-01-01T00:00:60Z",
        "2024-W01-1T00:00:00Z",
        "20240101T000000Z",
        "2024-01-01T24:00:00Z",
    ),
]
NUMBERS = [
    *(0, -0.0, 1, -1, 7.5, 1e308, -1e308, 5e-324, 0.1, float("nan"), float("inf"), float("-inf"), 10**400, 10**1500),
    *(2**7, 2**15, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 2**127),
]
TEXTS = [
    *(
        "",
        " ",
        "0",
        "7",
        "7.0",
        " 7",
        "7 ",
        "+7",
        "-7",
        "07",
        "1e5",
        "1E-7",
        "1e99999999",
        "1e-99999999",
        "1e2147483647",
    ),
    *("NaN", "Infinity", "-Infinity", "0x7", "true", "null", "1_000", "1,000.00", "9999999999.99", "10000000000.00"),
    *(
        "\x00",
        "\x00\x00",
        "\u007f",
        "\u0080",
        "\u2028",
        "\ufeff",
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\U0001f600",
        "\U0010ffff",
    ),
    *(
        "\ud800",
        "\udfff",
        "\ud83d",
        "\ude00\ud83d",
        "a\ud800b",
        "\u0661\u0662",
        "e\u0301" * 50,
        "\u202e",
        "'",
        '"',
        "\\",
    ),
    *("$", "${x}", "'); DROP TABLE t; --", "0:0:0:{}", "DE", "de", "EUR", "skipped by hand", "x" * 10_000),
]
ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7", "cp1252", "cp037"]

Fields = dict[str, Any]


class Inputs:
    """Endless records for a topic. The same seed gives the same ones, except for the times of the valid ones, which are now."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def record(self, topic: str, number: int) -> tuple[bytes | None, bytes | None]:
        """Key and value of one record. Its ids are made from `number`, unless the ids are what is wrong."""
        kinds: list[Callable[[str, int], bytes | None]] = [
            *(self._mutated, self._field, self._json, self._bytes, self._encoded, self._shape, self._large),
            lambda *_: None,
        ]
        value = self._chance.choices(
            kinds,
            weights=[300, 400, 100, 80, 60, 80, 1, 5],
        )[0]
        key, content = self._key(number), value(topic, number)
        return (b"1" if key is None and content is None else key), content

    def good(self, topic: str, number: int) -> Fields:
        """A valid record, as our programs write it."""
        if topic == "transaction_mid":
            return self._joined(number)
        after = self._profile(number) if topic == "user_profile" else self._payment(number)
        return {"before": None, "after": after, "source": {"table": topic, "pos": number}, "op": "c", "ts_ms": 1}

    def _profile(self, number: int) -> Fields:
        names = {"first_name": "Ada", "last_name": "Łęcka", "email": "ada@example.com", "phone_number": "+49 1"}
        return {"user_id": user_of(number), **names, "home_country": "DE", "suspicious_activities": 0}

    def _payment(self, number: int) -> Fields:
        what = {"amount": "6.00", "currency": "EUR", "type": "online", "country": "DE", "merchant": "Café"}
        ids = {"transaction_id": number, "user_id": user_of(number)}
        return {**ids, **what, "transaction_time": self._now, "created_at": self._now}

    def _joined(self, number: int) -> Fields:
        ids = {"transaction_id": number, "user_id": user_of(number)}
        what = {"user_last_name": "Łęcka", "transaction_amount": "6.00", "transaction_country": "DE"}
        return {**JOINED, **ids, **what, "transaction_time": self._now, "created_at": self._now}

    def _edge(self) -> Any:
        """A value where another one was expected."""
        kinds: list[Callable[[], Any]] = [
            lambda: self._chance.choice(TIMES),
            lambda: self._chance.choice(NUMBERS),
            lambda: self._chance.choice(TEXTS),
            lambda: self._chance.choice([None, True, False, [], {}, [7], {"id": 7}, [[]], {"": None}]),
            lambda: "".join(chr(self._chance.randrange(0x110000)) for _ in range(self._chance.randrange(1, 8))),
            lambda: self._chance.randrange(-(2**70), 2**70),
        ]
        return self._chance.choice(kinds)()

    def _key(self, number: int) -> bytes | None:
        user = str(user_of(number)).encode()
        odd = [
            None,
            b"",
            b"\xff",
            b"\xed\xa0\x80",
            b"\x00",
            b"not a user",
            "\ufeff1".encode(),
            self._chance.randbytes(5),
        ]
        return user if self._chance.random() < 0.9 else self._chance.choice(odd)

    def _text(self, value: Any) -> bytes:
        """JSON, its characters escaped or not; unescaped, half a surrogate pair becomes bytes that are not UTF-8."""
        return json.dumps(value, ensure_ascii=self._chance.random() < 0.5).encode("utf-8", "surrogatepass")

    def _whole(self, topic: str, number: int) -> Fields:
        value = self.good(topic, number)
        if "op" in value and self._chance.random() < 0.3:
            value["op"] = self._chance.choice(["c", "r", "u", "d", "x", "", None, 7, "C", "cc", ["c"]])
            if self._chance.random() < 0.7:
                value["before"] = dict(value["after"])
        return value

    def _field(self, topic: str, number: int) -> bytes:
        value = self._whole(topic, number)
        for _ in range(self._chance.choice([1, 1, 1, 2, 5])):
            inner = [part for part in (value.get("before"), value.get("after")) if isinstance(part, dict) and part]
            part = self._chance.choice([*inner, *inner, value])
            if not part:
                break
            name = self._chance.choice(list(part))
            if self._chance.random() < 0.1:
                del part[name]
            else:
                part[name] = self._edge()
        return self._text(value)

    def _mutated(self, topic: str, number: int) -> bytes:
        text = bytearray(self._text(self._whole(topic, number)))
        for _ in range(self._chance.choice([1, 1, 2, 4])):
            at = self._chance.randrange(len(text) + 1)
            kind = self._chance.randrange(5)
            if kind == 0:
                del text[at:]
            elif kind == 1:
                text[at:at] = self._chance.choice(
                    [b"\x00", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"{", b"}", b'"', b"\\u"]
                )
            elif kind == 2:
                del text[at : at + self._chance.randrange(1, 20)]
            elif kind == 3:
                text[at:at] = text[: self._chance.randrange(40)]
            elif at < len(text):
                text[at] = self._chance.randrange(256)
        return bytes(text)

    def _json(self, topic: str, number: int) -> bytes:
        return self._text(self._tree(0))

    def _tree(self, depth: int) -> Any:
        kind = self._chance.randrange(4) if depth < 4 else 3
        if kind == 0:
            return [self._tree(depth + 1) for _ in range(self._chance.randrange(4))]
        if kind == 1:
            names = ["op", "after", "before", "user_id", "transaction_id", "", "\ud800", "x", "payload", "schema"]
            return {self._chance.choice(names): self._tree(depth + 1) for _ in range(self._chance.randrange(5))}
        return self._edge()

    def _bytes(self, topic: str, number: int) -> bytes:
        return self._chance.randbytes(self._chance.choice([0, 1, 2, 3, 8, 64, 2000]))

    def _encoded(self, topic: str, number: int) -> bytes:
        text = json.dumps(self._whole(topic, number), ensure_ascii=True)
        return text.encode(self._chance.choice(ENCODINGS))

    def _shape(self, topic: str, number: int) -> bytes:
        value = self._whole(topic, number)
        text = self._text(value)
        deep = self._chance.choice([10, 500, 999, 1001, 5_000, 30_000])
        shapes: list[Callable[[], bytes]] = [
            lambda: text + self._chance.choice([b" ", b"}", b"\x00", b"\xff", b" 2", b",", text]),
            lambda: b"[" + text + b"]",
            lambda: self._text({"schema": {"type": "struct"}, "payload": value}),
            lambda: text[:-1] + b"," + text[1:],  # each name twice
            lambda: self._text(json.dumps(value)),
            lambda: b"[" * deep + b"]" * deep,
            lambda: text[:-1] + b',"x":' + b'{"a":' * deep + b"1" + b"}" * deep + b"}",
            lambda: b"\n\t " + text.replace(b", ", b"\r\n ,"),
            lambda: text.replace(b'"', b"'"),
            lambda: b"/* */" + text,
        ]
        return self._chance.choice(shapes)()

    def _large(self, topic: str, number: int) -> bytes:
        value = self._whole(topic, number)
        part = value.get("after") or value
        size = 2**20 - 4096
        part[self._chance.choice(list(part))] = self._chance.choice(
            ["x" * size, "9" * size, "\x00" * (size // 6), "é" * (size // 6)]
        )
        return self._text(value)[: 2**20 - 200]


def user_of(number: int) -> int:
    """A new user every few records. Neighbours share one: the join reads them from its two topics."""
    return 1 + number // 2 % 5_000
