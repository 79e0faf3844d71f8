"""The remaining evidence of some components in; the components that follow from it out; pure.

Replay applies the facts in the order of the log, under today's limits. A refused link may pass now. A link that only an
alias had made possible may fail. Without either case, fewer links cause no new refusal, and the result is the connected
components.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from processors.identity import graph, guard
from processors.identity.graph import NOTHING, Component, Evidence, Pair, Refusal, Retraction
from processors.identity.guard import Limits

Far = Callable[[Refusal], str]
"""Returns the own contact id of the identifier on the other side of a refusal."""


@dataclass(frozen=True, slots=True)
class LinkFact:
    """A link as it stands in the log."""

    place: int
    pair: Pair
    evidence: Evidence


@dataclass(slots=True)
class ReplayResult:
    """Components, and the newly refused links."""

    components: list[Component]
    refused: list[tuple[LinkFact, str]] = field(default_factory=list)


def facts_of(components: Sequence[Component], far: Far) -> list[LinkFact]:
    """Returns all facts that may link members of these components, in the order of the log."""
    here = {node for component in components for node in component.members}
    facts = {}
    taken_back: dict[Pair, Retraction] = {}
    for component in components:
        for pair, retraction in component.retracted.items():
            taken_back[pair] = taken_back.get(pair, NOTHING) | retraction
    for component in components:
        for pair, evidence in component.edges.items():
            facts.update({(pair, e.event_id, e.place): LinkFact(e.place, pair, e) for e in evidence})
        for r in component.refused:
            pair = graph.pair_of(r.near, far(r))
            if taken_back.get(pair, NOTHING).covers(r.at_ms, r.event_id, explicit=r.explicit):
                continue  # a split separates the pair
            if here.issuperset(pair):
                evidence_of = Evidence(r.at_ms, r.event_id, "", r.place, r.explicit, r.keeper)
                facts.setdefault((pair, r.event_id, r.place), LinkFact(r.place, pair, evidence_of))
    return sorted(facts.values(), key=lambda fact: (fact.place, fact.evidence, fact.pair))


def replay(components: Sequence[Component], facts: Sequence[LinkFact], limits: Limits) -> ReplayResult:
    """Recomputes components from the members of ``components``; each fact names two members."""
    homes = {
        node: Component(id=node, members={node: member})
        for component in components
        for node, member in component.members.items()
    }
    outcome = ReplayResult([])
    for fact in facts:
        left, right = homes[fact.pair[0]], homes[fact.pair[1]]
        if left is not right:
            reason = guard.refusal(left, right, fact.pair, fact.evidence, limits)
            if reason is not None:
                outcome.refused.append((fact, reason))
                continue
            if len(left.members) < len(right.members):
                left, right = right, left
            graph.join(left, right)
            homes.update(dict.fromkeys(right.members, left))
        left.add_edge(*fact.pair, fact.evidence)
    outcome.components = list({id(c): c for c in homes.values()}.values())
    return outcome
