"""Short calls in; records of contacts, merges, memberships and segments as the sink stores them out."""

from typing import Any

import orjson

from schemas.control.control_state import Segment
from schemas.records.records import Change, Merge
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, ident
from tests.support.sink_pipeline import change


def contact(*identifiers: str, version: int = 1, into: str = "", updated_ms: int = NOW_MS, **profile: Any) -> Change:
    profile_fields = {
        "identifiers": [ident(i) for i in identifiers],
        "created_ms": NOW_MS,
        "updated_ms": updated_ms,
        **profile,
    }
    return change(cid(identifiers[0]), "profile", version, profile=orjson.dumps(profile_fields), merged_into=into)


def merge(loser: str, winner: str, version: int = 1) -> Merge:
    return Merge(
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        loser=cid(loser),
        winner=cid(winner),
        version=version,
        at_ms=NOW_MS,
        event_id="evt_m",
        identifier=ident(loser),
    )


def member(of: str, segment: str, version: int, *, is_member: bool = True) -> Change:
    return change(
        cid(of),
        "membership",
        version,
        segment_id=segment,
        member=is_member,
        segment_version=1,
        reason="event",
        event_id="evt_1",
    )


def defined(name: str) -> Segment:
    return Segment(
        id=name,
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        name=f"named {name}",
        rule={"identified": True},
        version=1,
        created_ms=NOW_MS,
        updated_ms=NOW_MS,
    )
