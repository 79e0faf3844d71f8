"""A link in; the merges of its union, or its refusal, out.

1. The effect of a link follows from the graph and the link alone, so a repeated record changes nothing.
2. Versions and places come from the log: a repeat emits the same merges with the same versions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import orjson

from processors.identity import graph, guard
from processors.identity.graph import NOTHING, UNSEEN, Component, Evidence, Member, Refusal
from processors.identity.guard import Limits
from processors.identity.store import Graph
from processors.runtime.stage import PartitionState
from schemas.records import identity
from schemas.records.records import IDENTIFY, Change, Identifier, Link, Merge, Rebuild

LimitsOf = Callable[[str], Limits]
"""Returns the limits of a workspace."""


def default_limits(_workspace: str) -> Limits:
    return guard.DEFAULT


def node_of(link: Link, side: Identifier) -> str:
    return identity.contact_id(link["workspace"], link["environment"], side["type"], side["value"])


def far_of(link: Link, refusal: Refusal) -> str:
    """Returns the own contact id of a refusal's other side."""
    return identity.contact_id(link["workspace"], link["environment"], refusal.type, refusal.value)


def merge_of(
    link: Link, node: str, member: Member, winner: str, version: int, *, rebuilds: Sequence[Rebuild] = ()
) -> Merge:
    return {
        "workspace": link["workspace"],
        "environment": link["environment"],
        "loser": node,
        "winner": winner,
        "version": version,
        "at_ms": link["at_ms"],
        "event_id": link["event_id"],
        "identifier": {"type": member.type, "value": member.value},
        "rebuilds": list(rebuilds),
    }


def refused_of(link: Link, refusal: Refusal, version: int) -> Change:
    """The record that reports a refused link to one side."""
    return {
        "workspace": link["workspace"],
        "environment": link["environment"],
        "contact_id": refusal.near,
        "kind": "refused",
        "version": version,
        "at_ms": refusal.at_ms,
        "event_id": refusal.event_id,
        "reason": refusal.reason,
        "profile": orjson.dumps({"type": refusal.type, "value": refusal.value}),
    }


class Resolver:
    """Resolves a group of links over the state of a partition."""

    def __init__(self, state: PartitionState, limits_of: LimitsOf = default_limits) -> None:
        self.graph = Graph(state)
        self.limits_of = limits_of
        self.refused: list[Change] = []
        """Links that were not let through, once for each side."""

    def apply(self, link: Link, position: int, version: int) -> list[Merge]:
        """Applies a link; returns a merge for each id whose contact changed. Idempotent.

        ``position`` is shared by the links of one event, ``version`` grows with every link.
        """
        a = node_of(link, link["a"])
        b = a if link["a"] == link["b"] else node_of(link, link["b"])
        left = self.graph.find(a, link["a"], position)
        if a == b:  # a first sighting: only the place in the log counts
            if link["kind"] in guard.CLAIMS:
                self.claim(left, a, version)
            return []
        is_earlier = link["a"]["type"] == link["b"]["type"] == identity.EXTERNAL_ID
        right = self.graph.find(b, link["b"], position + graph.EARLIER if is_earlier else position)
        pair = graph.pair_of(a, b)
        # a crash may have kept a retraction on one side only
        retraction = left.retracted.get(pair, NOTHING) | right.retracted.get(pair, NOTHING)
        keeper = a if is_earlier and link["kind"] == IDENTIFY else ""
        evidence = Evidence(link["at_ms"], link["event_id"], link["kind"], version, link["explicit"], keeper)
        if retraction.separates(link["at_ms"]) and not link["explicit"]:
            # the sender caches the pair, so it sends no link for its next events; a lift reopens the pair
            if left is not right:
                self.refuse(link, ((left, a, link["b"]), (right, b, link["a"])), evidence, graph.SEPARATED)
            return []
        if retraction.covers(link["at_ms"], link["event_id"], explicit=link["explicit"]):
            # the sender caches the pair as known: reply, so that it forgets the pair and sends later evidence
            return [] if pair in left.edges else self.reemit_link(link, {a: link["a"], b: link["b"]}, version)
        if left is right:
            left.add_edge(a, b, evidence)
            self.graph.touch(left)
            return []
        limits = self.limits_of(link["workspace"])
        reason = guard.refusal(left, right, pair, evidence, limits)
        if reason is not None:
            self.refuse(link, ((left, a, link["b"]), (right, b, link["a"])), evidence, reason)
            return []
        is_new = bool(keeper) and not (left.is_claimed(version) or right.is_claimed(version))
        merges = self.unite(link, [left, right], version)
        whole = self.graph.root(left)
        whole.add_edge(a, b, evidence)
        if is_new:  # a sender that claims an anonymous id is identified from now on
            self.claim(whole, a, version)
        return merges

    def claim(self, component: Component, node: str, place: int) -> None:
        """Records that an external id is a user's from this place of the log on."""
        member = component.members[node]
        if place < member.claimed:
            component.members[node] = Member(member.type, member.value, member.position, place)
            self.graph.touch(component)

    def unite(self, link: Link, sides: Sequence[Component], version: int) -> list[Merge]:
        """Unites several components; sends a merge for each losing id."""
        # the renamed ids follow from the two sides before the union
        winner = min(side.members[side.winner].strength(side.winner) for side in sides)[-1]
        renamed = [(n, side.members[n]) for side in sides for n in graph.losers(side, winner)]
        left = max(sides, key=lambda side: len(side.members))
        for right in sides:
            if right is not left:
                graph.join(left, right)
                right.into = left.id
        self.graph.touch(*sides)
        return [merge_of(link, node, member, winner, version) for node, member in renamed]

    def reemit_link(self, link: Link, nodes: Mapping[str, Identifier], version: int) -> list[Merge]:
        """Sends the unchanged winners of these nodes, so their senders send the pair again."""
        merges = []
        for node, named in nodes.items():
            component = self.graph.find(node, named, UNSEEN)
            merges.append(merge_of(link, node, component.members[node], component.winner, version))
        return merges

    def refuse(
        self, link: Link, sides: Iterable[tuple[Component, str, Identifier]], evidence: Evidence, reason: str
    ) -> None:
        """Records a refused link in the components of both sides; a side is (component, node, far identifier)."""
        for near, node, far in sides:
            refusal = graph.refusal_of(evidence, node, far["type"], far["value"], reason)
            near.refuse(refusal)
            self.graph.touch(near)
            self.refused.append(refused_of(link, refusal, evidence.place))
