"""Links in, merges out: the one writer of a workspace's graph, over rows of the `graph` table.

Two kinds of rows: ``n/<node>`` -> id of a component, and ``c/<component>`` -> the component. Rows become
durable one by one, so a reader trusts a pointer only as far as the component confirms it (``_find``), and a
union may be repeated over any half of what it wrote.
"""

from collections.abc import Iterable

import orjson

from processors.identity import graph, guard
from processors.identity.graph import Component, Evidence, Member, Refusal
from processors.runtime.stage import State
from schemas import identity, topics
from schemas.records import Change, Identifier, Link, Merge

POSITIONS_PER_RECORD = 1 << 12
"""Room for the links of one record in a position and in a version."""
MAX_LINKS = 2000
"""Most links that may be put into one record; below ``POSITIONS_PER_RECORD``."""


def node_of(link: Link, side: Identifier) -> str:
    return identity.contact_id(link["workspace"], link["environment"], side["type"], side["value"])


class Resolver:
    """One group of links over the state of a partition; ``save`` puts each touched row once."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._components: dict[str, Component] = {}
        self._pointers: dict[str, str] = {}
        self._dirty: set[str] = set()
        self.refused: list[Change] = []
        """Links that were not let through, once for each side."""

    def apply(self, link: Link, position: int, version: int) -> list[Merge]:
        """Take a link in; the merges say for every id that goes by another one now. Idempotent.

        ``position`` is shared by the links of one event, ``version`` grows with every link.
        """
        a, b = node_of(link, link["a"]), node_of(link, link["b"])
        left = self._find(a, link["a"], position)
        if a == b:
            return []  # a sighting: only the place in the log counts
        right = self._find(b, link["b"], position)
        evidence = Evidence(link["at_ms"], link["event_id"], link["kind"])
        if left is right:
            left.add_edge(a, b, evidence)
            self._dirty.add(left.id)
            return []
        reason = guard.refusal(left, right, explicit=link["explicit"])
        if reason is not None:
            self._refuse(left, right, link, reason, version)
            return []
        return self._union(left, right, evidence, link, version)

    def _union(self, left: Component, right: Component, evidence: Evidence, link: Link, version: int) -> list[Merge]:
        if len(left.members) < len(right.members):
            left, right = right, left
        # what changes its name follows from both sides as they were before they are one
        winner = min(
            (left.winner, right.winner), key=lambda node: (left.members.get(node) or right.members[node]).strength(node)
        )
        renamed = [(n, side.members[n]) for side in (left, right) for n in graph.losers(side, winner)]
        graph.join(left, right)
        left.add_edge(node_of(link, link["a"]), node_of(link, link["b"]), evidence)
        right.into = left.id
        self._dirty.update((left.id, right.id))
        return [
            Merge(
                workspace=link["workspace"],
                environment=link["environment"],
                loser=node,
                winner=winner,
                version=version,
                at_ms=link["at_ms"],
                event_id=link["event_id"],
                identifier=Identifier(type=member.type, value=member.value),
            )
            for node, member in renamed
        ]

    def _refuse(self, left: Component, right: Component, link: Link, reason: str, version: int) -> None:
        for near, side, far in ((left, link["a"], link["b"]), (right, link["b"], link["a"])):
            node = node_of(link, side)
            near.refuse(Refusal(link["at_ms"], link["event_id"], node, far["type"], far["value"], reason))
            self._dirty.add(near.id)
            self.refused.append(
                Change(
                    workspace=link["workspace"],
                    environment=link["environment"],
                    contact_id=node,
                    kind="refused",
                    version=version,
                    at_ms=link["at_ms"],
                    event_id=link["event_id"],
                    reason=reason,
                    profile=orjson.dumps(far),
                )
            )

    def _find(self, node: str, named: Identifier, position: int) -> Component:
        """The node's component; what a crash left half-written is completed on the way."""
        start = self._pointer(node)
        component = self._component(start or node)
        while component.into:
            target = self._component(component.into)
            if not component.members.keys() <= target.members.keys():
                graph.join(target, component)
                self._dirty.add(target.id)
            component = target
        if node not in component.members:
            component.members[node] = Member(named["type"], named["value"], position)
            self._dirty.add(component.id)
        if start != component.id:
            self._pointers[node] = component.id
        return component

    def _pointer(self, node: str) -> str | None:
        if node in self._pointers:
            return self._pointers[node]
        row = self._state.get(topics.RESOLVER_GRAPH, b"n/" + node.encode())
        return None if row is None else row.decode()

    def _component(self, component_id: str) -> Component:
        known = self._components.get(component_id)
        if known is None:
            row = self._state.get(topics.RESOLVER_GRAPH, b"c/" + component_id.encode())
            known = Component(id=component_id) if row is None else graph.load(row)
            self._components[component_id] = known
        return known

    def save(self) -> None:
        for component_id in sorted(self._dirty):
            row = graph.dump(self._components[component_id])
            self._state.put(topics.RESOLVER_GRAPH, b"c/" + component_id.encode(), row)
        for node, component_id in self._pointers.items():
            self._state.put(topics.RESOLVER_GRAPH, b"n/" + node.encode(), component_id.encode())


def resolve(records: Iterable[tuple[int, list[Link]]], state: State) -> tuple[list[Merge], list[Change]]:
    """Links of records in the order of the log, with their offsets; merges and refusals in the order they happened."""
    resolver = Resolver(state)
    merges: list[Merge] = []
    for offset, links in records:
        position = offset * POSITIONS_PER_RECORD
        event = ""
        for index, link in enumerate(links):
            # identifiers that are new in the same event share a position: their types rank them
            position += link["event_id"] != event
            event = link["event_id"]
            merges.extend(resolver.apply(link, position, offset * POSITIONS_PER_RECORD + index + 1))
    resolver.save()
    return merges, resolver.refused
