"""Segment's alias from its call to the contact: what was stored under the earlier id is the user's, in any order."""

from itertools import permutations
from pathlib import Path
from typing import Any

import orjson
import pytest

from processors.membership import contact_state, profile
from processors.membership.contact_state import Contact
from schemas.records.records import Event
from tests.property.world_identity import IdentityWorld
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE
from tests.support.edge import PUBLIC, MemoryLog, client_of, memory_edge

UUID = "6a6f7e1c-6d1f-4a50-8c5e-0b6b7d8f9a01"
ALIAS = {"type": "alias", "userId": "u-1"}


async def stored(home: Path, calls: list[dict[str, Any]]) -> list[Event]:
    log = MemoryLog()
    async with client_of(memory_edge(home, log)) as client:
        for n, call in enumerate(calls):
            answer = await client.post("/v1/batch", json={"batch": [{"messageId": f"m-{n}", **call}]}, headers=PUBLIC)
            assert answer.status_code == 200, answer.text
    return log.events


@pytest.mark.parametrize("earlier", [UUID, "visitor-1"])
@pytest.mark.parametrize("kind", ["anonymousId", "userId"])
async def test_the_earlier_ids_history_is_the_users(tmp_path: Path, earlier: str, kind: str) -> None:
    before = {"type": "track", "event": "Seen", kind: earlier}
    calls = [before, {**ALIAS, "previousId": earlier}, {"type": "track", "event": "Bought", "userId": "u-1"}]
    for events in permutations(await stored(tmp_path, calls)):
        world, contact = IdentityWorld(), Contact(WORKSPACE, ENVIRONMENT)
        for n, event in enumerate(events):
            event["received_ms"] = NOW_MS + n
            world.deliver(event)
            world.settle()
            profile.learn_standing(contact, event)
            for identifier in event["identifiers"]:
                contact_state.identify(contact, identifier["type"], identifier["value"], *profile.stamp_of(event))
        named = {
            f"{identifier['type']}:{identifier['value']}" for event in events for identifier in event["identifiers"]
        }
        assert len({world.winner(name) for name in named}) == 1
        assert orjson.loads(profile.snapshot(contact))["external_id"] == "u-1"


async def test_an_alias_that_names_the_calls_own_ids_makes_one_contact(tmp_path: Path) -> None:
    call = {**ALIAS, "previousId": "visitor-1", "anonymousId": "visitor-1"}
    (event,) = await stored(tmp_path, [call])
    world = IdentityWorld()
    world.deliver(event)
    world.settle()
    assert world.winner("anonymous_id:visitor-1") == world.winner("external_id:u-1") == event["contact_id"]
