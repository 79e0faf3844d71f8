"""Links in, merges out: the one writer of a workspace's graph.

1. The effect of a link follows from the graph and the link alone, so a repeated record changes nothing.
2. Versions and places come from the log: a repeat emits the same merges with the same versions.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from processors.identity.split import retract
from processors.identity.union import LimitsOf, Resolver, default_limits
from processors.runtime.stage import PartitionState
from schemas.records.mergemap import VERSIONS_PER_RECORD
from schemas.records.records import Change, Link, Merge

VERSIONS_PER_LINK: Final = 4
"""A union takes the first version. A split takes three: for separations, unions and reopened pairs."""
MAX_LINKS: Final = 2000
"""Most links that may be put into one record; each takes its versions."""


def resolve(
    records: Iterable[tuple[int, list[Link]]], state: PartitionState, limits_of: LimitsOf = default_limits
) -> tuple[list[Merge], list[Change]]:
    """Resolves links with their offsets, in the order of the log; returns merges and refusals in the same order."""
    resolver = Resolver(state, limits_of)
    merges: list[Merge] = []
    for offset, links in records:
        for together in _together(links, offset * VERSIONS_PER_RECORD):
            link, position, version = together[-1]
            if link.get("retract"):
                merges.extend(retract(resolver, [retraction for retraction, _, _ in together], version))
            else:
                merges.extend(resolver.apply(link, position, version))
    resolver.graph.save()
    return merges, resolver.refused


def _together(links: Sequence[Link], place: int) -> Iterator[list[tuple[Link, int, int]]]:
    """Yields single links with their positions and versions; consecutive retractions form one split."""
    placed, position, event = [], place, ""
    for index, link in enumerate(links):
        # new identifiers of one event share a position: their types rank them
        position += link["event_id"] != event
        event = link["event_id"]
        placed.append((link, position, place + index * VERSIONS_PER_LINK + 1))
    if not any(placed_link[0].get("retract") for placed_link in placed):
        yield from ([placed_link] for placed_link in placed)
        return
    for is_retraction, some in groupby(placed, key=lambda placed_link: bool(placed_link[0].get("retract"))):
        if is_retraction:
            yield list(some)
        else:
            yield from ([placed_link] for placed_link in some)
