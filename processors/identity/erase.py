"""Pending erasures of a partition in; the deletions of their rows in its tables and on `merges` out; pure.

A partition confirms an erasure on `control`, and repeats it until it has read its own confirmation. Until then a
marker row makes the repeat a no-op, so that events after the first one survive.
"""

from processors.identity import ephemeral_ids, graph, seen_events
from processors.identity.graph import Refusal
from processors.runtime.stage import OutputRecord, PartitionState
from schemas import topics
from schemas.control import control_state
from schemas.control.control_state import ControlState, Erasure
from schemas.control.erasure import IDENTITY, step_of
from schemas.records import identity
from schemas.records.identity import partition_of

DONE = b"!erased/"
"""Prefix of a key: this prefix and an erasure's id name the row that marks the erasure as done here."""


def awaited(control: ControlState, partition: int) -> list[Erasure]:
    """The erasures that this partition has not confirmed."""
    return [
        erased
        for erased in control.erasures.values()
        if f"{erased.id}.{IDENTITY}.{partition}" not in control.erasure_steps[erased.id]
    ]


def erase(control: ControlState, state: PartitionState, partitions: int) -> list[OutputRecord]:
    """Deletes the contact's rows and its keys of `merges`."""
    sends: list[OutputRecord] = []
    for erasure in awaited(control, state.partition):
        if state.get(topics.IDENTITY_MAP, _mark(erasure)) is not None:
            continue
        for contact_id in erasure.contacts:
            state.put(topics.IDENTITY_MAP, contact_id.encode(), None)
            if partition_of(contact_id, partitions) == state.partition:
                sends.append(OutputRecord(topics.MERGES.name, state.partition, contact_id.encode(), b""))
        forget_pairs(state, {contact_id.encode() for contact_id in erasure.contacts})
        seen_events.forget(state, erasure.contacts)
        _cut(state, erasure)
        state.put(topics.IDENTITY_MAP, _mark(erasure), b"1")
    return sends


def answers(control: ControlState, state: PartitionState, now_ms: int) -> list[OutputRecord]:
    """Reports the erasures of earlier steps: their deletions are durable."""
    sends = []
    for erasure in awaited(control, state.partition):
        if state.get(topics.IDENTITY_MAP, _mark(erasure)) is not None:
            record = control_state.encode("erasure_step", step_of(erasure, IDENTITY, state.partition, now_ms))
            control.apply(*record)
            sends.append(OutputRecord(topics.CONTROL.name, 0, *record))
    return sends


def _mark(erasure: Erasure) -> bytes:
    return DONE + erasure.id.encode()


def forget_pairs(state: PartitionState, gone: set[bytes]) -> None:
    """Forgets pairs with an erased side. If the person comes back, their links count again."""
    for key, row in state.scan(topics.IDENTITY_PAIRS):
        if key.endswith(ephemeral_ids.SUFFIX):
            kept = None if key.removesuffix(ephemeral_ids.SUFFIX) in gone else ephemeral_ids.without(row, gone)
            if kept != row:
                state.put(topics.IDENTITY_PAIRS, key, kept)
        elif key in gone or key[: len(key) // 2] in gone or key[len(key) // 2 :] in gone:
            state.put(topics.IDENTITY_PAIRS, key, None)


def _cut(state: PartitionState, erasure: Erasure) -> None:
    """Takes the identifiers out of each component that holds some; split or joined components keep copies."""
    gone = set(erasure.contacts)

    def is_gone(refusal: Refusal) -> bool:
        return identity.contact_id(erasure.workspace, erasure.environment, refusal.type, refusal.value) in gone

    for key, row in state.scan(topics.RESOLVER_GRAPH):
        if key.startswith(b"n/"):
            if key[2:].decode() in gone or row.decode() in gone:
                state.put(topics.RESOLVER_GRAPH, key, None)
            continue
        if b'"refused":[]' in row and not any(node.encode() in row for node in gone):
            continue
        component = graph.load(row)
        rest = component.only(component.id, component.members.keys() - gone)
        rest.into = component.into
        rest.parts = {node: home for node, home in component.parts.items() if node not in gone}
        rest.retracted = {pair: r for pair, r in rest.retracted.items() if gone.isdisjoint(pair)}
        rest.refused = {refusal for refusal in rest.refused if not is_gone(refusal)}
        state.put(topics.RESOLVER_GRAPH, key, graph.dump(rest) if rest.members else None)
