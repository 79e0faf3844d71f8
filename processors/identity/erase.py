"""The erasures that a partition has not heard of yet in; what its tables and `merges` keep of them gone; pure.

A partition says on `control` what it has done, and asks that: an erasure is repeated until its answer has come
back. A row of the map says in the meantime that it was done, or the repeat would take a new beginning with it.
"""

from processors.identity import graph
from processors.runtime.stage import Send, State
from schemas import control, erasure, topics
from schemas.control import ControlState, Erasure
from schemas.identity import partition_of

DONE = b"!erased/"
"""Before an erasure's id: the key of the row that says it was done here."""


def awaited(known: ControlState, partition: int) -> list[Erasure]:
    """Those that this partition has not answered."""
    return [
        one
        for one in known.erasures.values()
        if f"{one.id}.{erasure.IDENTITY}.{partition}" not in known.erasure_steps[one.id]
    ]


def erase(known: ControlState, state: State, partitions: int) -> list[Send]:
    """Rows go, and the keys of `merges`."""
    sends: list[Send] = []
    for one in awaited(known, state.partition):
        if state.get(topics.IDENTITY_MAP, _mark(one)) is not None:
            continue
        for contact_id in one.contacts:
            _forget(state, contact_id.encode())
            if partition_of(contact_id, partitions) == state.partition:
                sends.append(Send(topics.MERGES.name, state.partition, contact_id.encode(), b""))
        _cut(state, set(one.contacts))
        state.put(topics.IDENTITY_MAP, _mark(one), b"1")
    return sends


def answers(known: ControlState, state: State, now_ms: int) -> list[Send]:
    """What a step before this one erased is durably gone: that is said."""
    sends = []
    for one in awaited(known, state.partition):
        if state.get(topics.IDENTITY_MAP, _mark(one)) is not None:
            record = control.encode("erasure_step", erasure.step_of(one, erasure.IDENTITY, state.partition, now_ms))
            known.apply(*record)
            sends.append(Send(topics.CONTROL.name, 0, *record))
    return sends


def _mark(one: Erasure) -> bytes:
    return DONE + one.id.encode()


def _forget(state: State, own: bytes) -> None:
    state.put(topics.IDENTITY_MAP, own, None)
    state.put(topics.IDENTITY_PAIRS, own, None)
    for key, _ in state.scan(topics.IDENTITY_PAIRS, own):
        if not key.startswith(own):
            return
        state.put(topics.IDENTITY_PAIRS, key, None)


def _cut(state: State, gone: set[str]) -> None:
    """Take the identifiers out of every component that holds some; components that parted or joined keep copies."""
    for key, row in state.scan(topics.RESOLVER_GRAPH):
        if key.startswith(b"n/"):
            if key[2:].decode() in gone or row.decode() in gone:
                state.put(topics.RESOLVER_GRAPH, key, None)
            continue
        if not any(node.encode() in row for node in gone):
            continue
        component = graph.load(row)
        rest = component.only(component.id, component.members.keys() - gone)
        rest.into = component.into
        rest.parts = {node: home for node, home in component.parts.items() if node not in gone}
        rest.retracted = {pair: r for pair, r in rest.retracted.items() if gone.isdisjoint(pair)}
        state.put(topics.RESOLVER_GRAPH, key, graph.dump(rest) if rest.members else None)
