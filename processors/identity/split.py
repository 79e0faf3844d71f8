"""Retractions in; merges that move contacts to their state without the retracted evidence out.

1. The winner of a split contact stays the winner of its part, and its record names all parts.
2. The groups of identifiers are recomputed from the remaining evidence (``replay.py``). A refused link that is let
   through now joins its two sides, with the versions after those of the split.
3. A split lasts: the next event with the same pair does not join it again, until a lift or an explicit call. A lift
   alone joins nothing.
4. Both sides of a pair get a merge with the result, even without a change. So senders that cached the pair forget it
   and send new evidence, and the client of the split sees its end.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from processors.identity import graph
from processors.identity.graph import UNSEEN, Component, Pair, Retraction
from processors.identity.replay import ReplayResult, facts_of, replay
from processors.identity.union import Resolver, far_of, merge_of, node_of
from schemas.records.records import LIFT, Identifier, Link, Merge, Rebuild

MAX_HOOD = 5000
"""A split evaluates its contact and contacts tied by refusals, up to so many identifiers; other refusals stay."""


def retract(resolver: Resolver, links: Sequence[Link], version: int) -> list[Merge]:
    """Retract the evidence of these pairs, all as one split. Idempotent."""
    affected: dict[str, Component] = {}
    named: dict[str, Identifier] = {}
    for link in links:
        a, b = node_of(link, link["a"]), node_of(link, link["b"])
        if a == b:
            continue  # a first-sighting link joins no identifiers
        pair = graph.pair_of(a, b)
        named |= {a: link["a"], b: link["b"]}
        for side in (resolver.graph.find(a, link["a"], UNSEEN), resolver.graph.find(b, link["b"], UNSEEN)):
            _forget(side, pair, link)
            # also without a removal: a crash may have kept the retraction and lost its effects
            affected[side.id] = side
            resolver.graph.touch(side)
    merges: list[Merge] = []
    for component in affected.values():
        if not component.parts and not component.into:
            merges += _Recount(resolver, links[-1], version).of(component)
    alone = {merge["loser"] for merge in merges if merge["loser"] == merge["winner"]}
    again = {node: identifier for node, identifier in named.items() if node not in alone}
    return merges + resolver.reemit_link(links[-1], again, version + 2)


def _forget(side: Component, pair: Pair, link: Link) -> None:
    event_id, at_ms = link["event_id"], link["at_ms"]
    if link["kind"] == LIFT:
        retraction = Retraction(lifts=frozenset({at_ms}))
    elif event_id:
        retraction = Retraction(events=frozenset({event_id}), splits=frozenset({at_ms}))
    else:
        retraction = Retraction(before_ms=at_ms, splits=frozenset({at_ms}))
    side.refused = {
        r
        for r in side.refused
        if graph.pair_of(r.near, far_of(link, r)) != pair or not retraction.takes_back(r.at_ms, r.event_id)
    }
    side.retract(pair, retraction)


class _Recount:
    """Recomputes a component that lost evidence, and the components that refusals tie to it."""

    def __init__(self, resolver: Resolver, link: Link, version: int) -> None:
        self._resolver = resolver
        self._graph = resolver.graph
        self._link = link
        self._version = version

    def of(self, component: Component) -> list[Merge]:
        self._complete(component)
        hood = self._hood(component)
        facts = facts_of(hood, partial(far_of, self._link))
        outcome = replay(hood, facts, self._resolver.limits_of(self._link["workspace"]))
        self._keep_evidence(hood, outcome)
        merges: list[Merge] = []
        pieces: dict[int, list[Component]] = defaultdict(list)
        home = {node: n for n, whole in enumerate(outcome.components) for node in whole.members}
        for neighbour in hood:
            nodes: dict[int, set[str]] = defaultdict(set)
            for node in neighbour.members:
                nodes[home[node]].add(node)
            if len(nodes) == 1:
                pieces[next(iter(nodes))].append(neighbour)
            else:
                merges += self._split(neighbour, nodes, pieces)
        for n, some in pieces.items():
            merges += self._unite(some, outcome.components[n])
        return merges

    def _complete(self, component: Component) -> None:
        """Completes a union after a crash: adds members whose own rows lack it."""
        for node, member in list(component.members.items()):
            other = self._graph.find(node, Identifier(type=member.type, value=member.value), UNSEEN)
            if other is not component:
                graph.join(component, other)
                other.into = component.id
                self._graph.touch(component, other)

    def _hood(self, component: Component) -> list[Component]:
        """Returns the component and those that a refusal separates from it, near ones first."""
        hood, size = {component.id: component}, len(component.members)
        todo = [component]
        while todo:
            for refusal in sorted(todo.pop(0).refused):
                named = Identifier(type=refusal.type, value=refusal.value)
                other = self._graph.find(far_of(self._link, refusal), named, UNSEEN)
                if other.id not in hood and size + len(other.members) <= MAX_HOOD:
                    hood[other.id] = other
                    size += len(other.members)
                    todo.append(other)
        return list(hood.values())

    def _keep_evidence(self, hood: Sequence[Component], outcome: ReplayResult) -> None:
        """Keeps each component's present edges; the union adds edges between components.

        A refusal stays even when its link passes: rows lost in a crash are recomputed from it.
        """
        refused = {(r.near, r.event_id, r.type, r.value) for component in hood for r in component.refused}
        members = {node: member for component in hood for node, member in component.members.items()}
        for component in hood:
            whole = {pair: e for c in outcome.components for pair, e in c.edges.items()}
            component.edges = {pair: set(e) for pair, e in whole.items() if component.members.keys() >= set(pair)}
            self._graph.touch(component)
        homes = {node: component for component in hood for node in component.members}
        for fact, reason in outcome.refused:
            for near, there in (fact.pair, fact.pair[::-1]):
                other, e = members[there], fact.evidence
                refusal = graph.refusal_of(e, near, other.type, other.value, reason)
                if (near, e.event_id, other.type, other.value) in refused:
                    homes[near].refuse(refusal)
                else:
                    sides = [(homes[near], near, Identifier(type=other.type, value=other.value))]
                    self._resolver.refuse(self._link, sides, e, reason)

    def _split(self, whole: Component, nodes: dict[int, set[str]], pieces: dict[int, list[Component]]) -> list[Merge]:
        before = whole.winner
        parts = {n: whole.only("", some) for n, some in nodes.items()}
        merges = []
        for n, part in parts.items():
            part.id = self._name(part.winner, whole)
            whole.parts.update(dict.fromkeys(part.members, part.id))
            if part.winner != before:
                merges += [
                    merge_of(self._link, node, member, part.winner, self._version)
                    for node, member in part.members.items()
                ]
            # a repeat reads the rows of the first run, and they may hold more
            target = graph.join(self._graph.component(part.id), part)
            self._graph.touch(target)
            pieces[n].append(self._graph.root(target))
        rebuilds = [
            Rebuild(
                winner=part.winner,
                members=[Identifier(type=m.type, value=m.value) for m in part.members.values()],
            )
            for part in parts.values()
        ]
        return [*merges, merge_of(self._link, before, whole.members[before], before, self._version, rebuilds=rebuilds)]

    def _name(self, winner: str, whole: Component) -> str:
        """Names a part of this component; skips a name that a crash left with another meaning.

        An interrupted step may have kept a part that was divided since, or that leads to the divided component: the
        repeat may reach a member by another way than the first run.
        """
        name = f"{winner}@{self._version}"
        while True:
            component = self._graph.component(name)
            while component.into:
                component = self._graph.component(component.into)
            if component is not whole and not component.parts:
                return name
            name += "+"

    def _unite(self, pieces: Sequence[Component], whole: Component) -> list[Merge]:
        """Unites groups that were separate although refused links between them pass now."""
        sides = list({piece.id: piece for piece in pieces}.values())
        if len(sides) == 1:
            return []
        merges = self._resolver.unite(self._link, sides, self._version + 1)
        root = self._graph.root(sides[0])
        for pair, evidence in whole.edges.items():
            for link in evidence:
                root.add_edge(*pair, link)
        self._graph.touch(root)
        return merges
