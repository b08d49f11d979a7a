"""Keyed state in this process, as Flink gives it to an operator, for trying a learner's operator without a cluster.

What is in state is pickled when it is written and unpickled when it is read, as the cluster does it: a change of what was read is lost
unless it is written back.
"""

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

Key = Any


class Store:
    """The state of an operator: what each key has, by the state's name. `without_key` says when there is no key, and so no state."""

    def __init__(self, without_key: str) -> None:
        self._without_key = without_key
        self.values: dict[Key, dict[str, bytes]] = {}
        self.key: Key = None

    def read(self, name: str) -> Any:
        stored = self._of_key().get(name)
        return None if stored is None else pickle.loads(stored)  # noqa: S301 - written by `write`, in this process

    def write(self, name: str, value: Any) -> None:
        self._of_key()[name] = pickle.dumps(value)

    def clear(self, name: str) -> None:
        self._of_key().pop(name, None)

    def _of_key(self) -> dict[str, bytes]:
        if self.key is None:
            raise RuntimeError(self._without_key)
        return self.values.setdefault(self.key, {})


class _State:
    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name

    def clear(self) -> None:
        self._store.clear(self._name)

    def _read(self) -> Any:
        return self._store.read(self._name)

    def _write(self, value: Any) -> None:
        self._store.write(self._name, value)


class ValueState(_State):
    def value(self) -> Any:
        return self._read()

    def update(self, value: Any) -> None:
        self.clear() if value is None else self._write(value)


class ListState(_State):
    def get(self) -> Iterator[Any]:
        return iter(self._read() or [])

    __iter__ = get

    def add(self, value: Any) -> None:
        self.add_all([value])

    def add_all(self, values: Iterable[Any]) -> None:
        self.update([*self.get(), *values])

    def update(self, values: Iterable[Any]) -> None:
        kept = list(values)
        self._write(kept) if kept else self.clear()


class MapState(_State):
    def _dict(self) -> dict[Any, Any]:
        return self._read() or {}

    def _keep(self, values: dict[Any, Any]) -> None:
        self._write(values) if values else self.clear()

    def get(self, key: Any) -> Any:
        return self._dict().get(key)

    def put(self, key: Any, value: Any) -> None:
        self._keep(self._dict() | {key: value})

    def put_all(self, values: dict[Any, Any]) -> None:
        self._keep(self._dict() | dict(values))

    def remove(self, key: Any) -> None:
        self._keep({one: value for one, value in self._dict().items() if one != key})

    def contains(self, key: Any) -> bool:
        return key in self._dict()

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._dict().items())

    def keys(self) -> Iterator[Any]:
        return iter(self._dict())

    def values(self) -> Iterator[Any]:
        return iter(self._dict().values())

    def is_empty(self) -> bool:
        return not self._dict()

    __contains__, __getitem__, __setitem__, __delitem__, __iter__ = contains, get, put, remove, keys


class ReducingState(_State):
    def __init__(self, store: Store, name: str, reduce: Any) -> None:
        super().__init__(store, name)
        self._reduce = reduce

    def get(self) -> Any:
        return self._read()

    def add(self, value: Any) -> None:
        before = self._read()
        self._write(value if before is None else self._reduce.reduce(before, value))


class AggregatingState(_State):
    def __init__(self, store: Store, name: str, function: Any) -> None:
        super().__init__(store, name)
        self._function = function

    def get(self) -> Any:
        sums = self._read()
        return None if sums is None else self._function.get_result(sums)

    def add(self, value: Any) -> None:
        sums = self._read()
        self._write(self._function.add(value, self._function.create_accumulator() if sums is None else sums))


class Runtime:
    """What `open` is given."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def name_of(self, descriptor: Any) -> Any:
        """The name under which the state is kept."""
        return descriptor.name

    def get_state(self, descriptor: Any) -> ValueState:
        return ValueState(self._store, self.name_of(descriptor))

    def get_list_state(self, descriptor: Any) -> ListState:
        return ListState(self._store, self.name_of(descriptor))

    def get_map_state(self, descriptor: Any) -> MapState:
        return MapState(self._store, self.name_of(descriptor))

    def get_reducing_state(self, descriptor: Any) -> ReducingState:
        return ReducingState(self._store, self.name_of(descriptor), descriptor.get_reduce_function())

    def get_aggregating_state(self, descriptor: Any) -> AggregatingState:
        return AggregatingState(self._store, self.name_of(descriptor), descriptor.get_agg_function())

    def get_index_of_this_subtask(self) -> int:
        return 0

    def get_number_of_parallel_subtasks(self) -> int:
        return 1
