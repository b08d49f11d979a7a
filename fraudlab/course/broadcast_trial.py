"""A learner's KeyedBroadcastProcessFunction in this process, before it runs on the cluster: with state that crashes don't lose."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from fraudlab.course.exercise import AnswerFailed, call
from fraudlab.course.keyed_state import Runtime, Store


class ReadOnly:
    """Broadcast state as the side of the keyed stream sees it."""

    def __init__(self, kept: dict[Any, Any], types: tuple[Any, Any]) -> None:
        self._kept, self._types = kept, types

    def get(self, key: Any) -> Any:
        return self._kept.get(key)

    def contains(self, key: Any) -> bool:
        return key in self._kept

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._kept.items())

    def keys(self) -> Iterator[Any]:
        return iter(self._kept)

    def values(self) -> Iterator[Any]:
        return iter(self._kept.values())

    def is_empty(self) -> bool:
        return not self._kept

    def __contains__(self, key: Any) -> bool:
        return self.contains(key)

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)


class Writable(ReadOnly):
    """Broadcast state as the side of the broadcast stream sees it."""

    def put(self, key: Any, value: Any) -> None:
        for name, one, wanted in (("key", key, self._types[0]), ("value", value, self._types[1])):
            if wanted is not None and (isinstance(one, bool) or not isinstance(one, wanted)):
                raise TypeError(f"the {name} {one!r} is not of the type that the state's descriptor names")
        self._kept[key] = value

    def put_all(self, values: dict[Any, Any]) -> None:
        for key, value in values.items():
            self.put(key, value)

    def remove(self, key: Any) -> None:
        self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()

    __setitem__ = put


class _Context:
    def __init__(self, trial: "BroadcastTrial", key: Any, state: type[ReadOnly]) -> None:
        self._trial, self._key, self._state = trial, key, state

    def get_current_key(self) -> Any:
        return self._key

    def get_broadcast_state(self, descriptor: Any) -> ReadOnly:
        # As PyFlink: a state of another name is another state, even if no stream was broadcast with its descriptor.
        kept = self._trial.broadcast.setdefault(_name_of(descriptor), {})
        return self._state(kept, _types_of(descriptor))


class _Runtime(Runtime):
    def __init__(self, store: Store, times_to_live: dict[str, Any]) -> None:
        super().__init__(store)
        self._times_to_live = times_to_live

    def __repr__(self) -> str:
        return "the runtime context"

    def name_of(self, descriptor: Any) -> str:
        # Flink takes what the descriptor says now: a time to live that is set later has no effect.
        config = vars(descriptor).get("_ttl_config")  # PyFlink has no public way
        ttl = config.get_ttl() if config is not None and config.is_enabled() else None
        self._times_to_live[_name_of(descriptor)] = ttl
        return _name_of(descriptor)


class BroadcastTrial:
    """An operator with keyed state for each user and one broadcast state; a crash loses everything else that it remembers.

    Attributes:
        broadcast: The broadcast states, by name.
        times_to_live: Of the keyed states that `open` has asked for, by name; None for one that never expires.
    """

    def __init__(self, make: Callable[[], Any], descriptor: Any) -> None:
        _types_of(descriptor)  # refuses a state that is no map
        self._make = make
        self._store = Store("keyed state has a value only while a record of the keyed stream is processed")
        self.broadcast: dict[str, dict[Any, Any]] = {}
        self.times_to_live: dict[str, Any] = {}
        self.crash()

    def crash(self) -> None:
        """Goes on with a new instance of the operator."""
        self._operator = call(self._make)
        call(self._operator.open, _Runtime(self._store, self.times_to_live))

    # Records

    def on_broadcast(self, value: Any) -> list[Any]:
        """What the operator sends for a record of the broadcast stream. Raises AnswerFailed."""
        return self._called("process_broadcast_element", value, _Context(self, None, Writable))

    def on_keyed(self, key: Any, value: Any) -> list[Any]:
        """What the operator sends for a record of this key. Raises AnswerFailed."""
        self._store.key = key
        try:
            return self._called("process_element", value, _Context(self, key, ReadOnly))
        finally:
            self._store.key = None

    def _called(self, name: str, value: Any, context: _Context) -> list[Any]:
        method = getattr(self._operator, name)

        def process(value: Any) -> list[Any]:
            return list(method(value, context) or ())

        process.__name__ = name
        sent: list[Any] = call(process, value)
        return sent


def _name_of(descriptor: Any) -> str:
    name = descriptor.get_name()
    if not isinstance(name, str) or not name:
        raise TypeError(f"a state's name is text, not {name!r}")
    return name


_TYPES = {"String": str, "Integer": int, "Long": int, "BigDecimal": Decimal, "Double": float, "Float": float}


def _types_of(descriptor: Any) -> tuple[Any, Any]:
    """The Python types of a map state's keys and values; None where it may be any."""
    try:
        _name_of(descriptor)
        types = vars(descriptor.type_info)  # PyFlink has no public way
        pair = types["_key_type_info"], types["_value_type_info"]
    except (AttributeError, KeyError) as error:
        raise AnswerFailed("A broadcast state is a map: its descriptor is a `MapStateDescriptor`.") from error
    except TypeError as error:
        raise AnswerFailed(f"The descriptor does not fit: {error}.") from error
    return _TYPES.get(repr(pair[0])), _TYPES.get(repr(pair[1]))


def rehearse(operator: Callable[[], Any], descriptor: Any, steps: Sequence[Any]) -> pd.DataFrame:
    """Shows records of two streams to an operator in this notebook, in your order, before it runs on the cluster.

    Args:
        operator: The class.
        descriptor: The descriptor of its broadcast state.
        steps: A tuple is a record of the keyed stream, its first value the key; anything else is a record of the broadcast stream.

    Returns:
        A row for each record, with what the operator sends.

    Example:
        lab.rehearse(Limit, LIMITS, [100, (7, 150), (7, 50)])
    """
    trial = BroadcastTrial(operator, descriptor)
    rows = [
        ("keyed", step, trial.on_keyed(step[0], step))
        if isinstance(step, tuple)
        else ("broadcast", step, trial.on_broadcast(step))
        for step in steps
    ]
    return pd.DataFrame(rows, columns=["stream", "record", "sends"])
