"""An event and the partition's merge map in; its contact, and new links between its identifiers, out; pure."""

from collections.abc import Collection
from typing import Final

from processors.identity import ephemeral_ids, guard
from processors.runtime.stage import PartitionState
from schemas import topics
from schemas.control.erasure import Erased
from schemas.records import identity, mergemap
from schemas.records.records import ALIAS, ALIAS_TYPE, TRACK, Event, Identifier, Link, Merge

NO_ERASURES: Final = Erased()
MET: Final = b"1"
CLAIMED: Final = b"2"
"""Facts passed on about a known identifier, in rising order: it exists; it is an identified person."""


def winner(state: PartitionState, contact_id: str) -> str:
    """The contact that an id belongs to today, by the map of its partition."""
    row = state.get(topics.IDENTITY_MAP, contact_id.encode())
    return contact_id if row is None else mergemap.winner_of(row)


def learn(state: PartitionState, merge: Merge) -> None:
    """Adds a merge to the map; merges may repeat and come late."""
    key, row = merge["loser"].encode(), mergemap.row_of(merge)
    stored = state.get(topics.IDENTITY_MAP, key)
    if not mergemap.replaces(row, stored):
        return
    state.put(topics.IDENTITY_MAP, key, row)
    # a merge that changes nothing follows a split, which retracted evidence: forget the contact's pairs, so that its
    # events send their links again
    if merge["winner"] in (merge["loser"], "" if stored is None else mergemap.winner_of(stored)):
        _forget_pairs(state, key)


def _forget_pairs(state: PartitionState, own: bytes) -> None:
    for key, _ in state.scan(topics.IDENTITY_PAIRS, own):
        if not key.startswith(own):
            return
        state.put(topics.IDENTITY_PAIRS, key, None)


def new_links(
    event: Event,
    state: PartitionState,
    *,
    apart: Collection[str] = identity.APART,
    erased: Erased = NO_ERASURES,
    at_once: int = ephemeral_ids.AT_ONCE,
) -> list[Link]:
    """The event's pairs that this partition has not sent yet.

    The first event with a known identifier sends a link from the identifier to itself: the resolver learns from it
    which contact came first. The first call that makes an external id an identified person sends one too. Types in
    ``apart`` link no contacts; an event whose strongest identifier has such a type stands alone. Of a known
    sender's anonymous ids in track events, only ``at_once`` pass at once.
    """
    identifiers = event["identifiers"]
    if not identifiers:
        return []
    own, strongest = event["contact_id"], identifiers[0]
    explicit = event["kind"] == ALIAS
    links: list[Link] = []
    claims = event["kind"] in guard.CLAIMS and event["type"] != ALIAS_TYPE and strongest["type"] == identity.EXTERNAL_ID
    is_known = identity.is_known(strongest["type"])
    if is_known and _is_news(state, own.encode(), CLAIMED if claims else MET):
        links.append(_link(event, strongest, strongest, kind=event["kind"] if claims else TRACK))
    if len(identifiers) == 1:
        return links
    for other in identity.tied(identifiers, apart)[1:]:
        far = identity.contact_id(event["workspace"], event["environment"], other["type"], other["value"])
        if erased.covers_id(far, event["received_ms"]):
            continue  # the resolver would skip the link, so the pair has to stay unknown
        pair = f"{own}{far}".encode()
        is_unstated = event["kind"] == TRACK and is_known and other["type"] == identity.ANONYMOUS_ID
        if (
            is_unstated
            and state.get(topics.IDENTITY_PAIRS, pair) is None
            and not ephemeral_ids.passes(state, own, far, at_once)
        ):
            continue
        if _is_news(state, pair) or explicit:
            links.append(_link(event, strongest, other, kind=event["kind"], explicit=explicit))
    return links


def _is_news(state: PartitionState, key: bytes, row: bytes = MET) -> bool:
    stored = state.get(topics.IDENTITY_PAIRS, key)
    if stored is not None and stored >= row:
        return False
    state.put(topics.IDENTITY_PAIRS, key, row)
    return True


def _link(event: Event, a: Identifier, b: Identifier, *, kind: str, explicit: bool = False) -> Link:
    return {
        "event_id": event["event_id"],
        "workspace": event["workspace"],
        "environment": event["environment"],
        "kind": kind,
        "at_ms": event["received_ms"],
        "a": a,
        "b": b,
        "explicit": explicit,
    }
