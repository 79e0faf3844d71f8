"""What a test environment refused, by whichever dialect, and nothing of any other: kept by the edge, bounded."""

from pathlib import Path
from typing import Any

import pytest

from ingest.trial.rejected import MOST, MOST_HOMES, RejectedCall, RejectedCalls
from schemas.control import control_state
from schemas.control.definitions import Environment
from schemas.errors import ApiError
from tests.support.edge import NOW_MS, SECRET, MemoryLog, client_of, memory_edge

HERE = {**SECRET, "Headwater-Environment": "ci"}


def with_test_environment(tmp_path: Path) -> Any:
    edge = memory_edge(tmp_path, MemoryLog())
    made = Environment(id="ci", workspace="local", created_ms=NOW_MS, number=9, kind="test")
    edge.control.apply(*control_state.encode("environment", made))
    return edge


async def bad(client: Any, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/test/bad{query}", headers=HERE)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["data"]
    return items


async def test_whole_requests_and_single_items_are_kept_with_what_came(tmp_path: Path) -> None:
    edge = with_test_environment(tmp_path)
    async with client_of(edge) as client:
        await client.post("/v1/events", json={"type": "a"}, headers=HERE)
        await client.post("/v1/events", content=b"{broken", headers={**HERE, "Content-Type": "application/json"})
        items = [{"type": "good", "user_id": "u"}, {"type": "b", "user_id": "u", "timestamp": "soon"}, {"user_id": "u"}]
        await client.post("/v1/events/batch", json=items, headers=HERE)
        await client.post("/v1/track", json={"event": 5, "userId": "u"}, headers=HERE)
        await client.post("/v1/contacts/batch", json=[{"external_id": "u"}, {"attributes": {}}], headers=HERE)
        result = await bad(client)
        assert [(row["path"], row["error"].get("param")) for row in result] == [
            ("/v1/contacts/batch", "contacts[1].user_id"),
            ("/v1/track", "event"),
            ("/v1/events/batch", "events[2].type"),
            ("/v1/events/batch", "events[1].timestamp"),
            ("/v1/events", None),
            ("/v1/events", "user_id"),
        ]
        assert [row["body"] for row in result][3:] == [
            '{"type":"b","properties":{}}',
            "{broken",
            '{"type":"a"}',
        ]
        assert [row["error"]["param"] for row in await bad(client, "?type=b")] == ["events[1].timestamp"]
        assert len(await bad(client, "?limit=2")) == 2
        assert (await client.get("/v1/test/bad?limit=0", headers=HERE)).status_code == 422


async def test_of_other_environments_and_unknown_keys_nothing_is_kept(tmp_path: Path) -> None:
    edge = with_test_environment(tmp_path)
    async with client_of(edge) as client:
        assert (await client.post("/v1/events", json={"type": "a"}, headers=SECRET)).status_code == 422
        assert (await client.post("/v1/events/batch", json=[{"type": "a"}], headers=SECRET)).status_code == 422
        nobody = {**HERE, "Authorization": "Bearer sk_nobody"}
        assert (await client.post("/v1/events", json={"type": "a"}, headers=nobody)).status_code == 401
        assert await bad(client) == []
        answer = await client.get("/v1/test/bad", headers=SECRET)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        assert '"kind": "test"' in answer.json()["error"]["message"]


async def test_what_came_before_a_reset_is_not_shown(tmp_path: Path) -> None:
    edge = with_test_environment(tmp_path)
    async with client_of(edge) as client:
        await client.post("/v1/events", json={"type": "a"}, headers=HERE)
        here = edge.control.environments["local"]["ci"]
        later = here.model_copy(update={"reset_ms": NOW_MS + 1})
        edge.control.apply(*control_state.encode("environment", later))
        assert await bad(client) == []


def call(n: int) -> RejectedCall:
    return RejectedCall(at_ms=n, path="/v1/events", source="altacee", error=ApiError("invalid_field", "wrong"))


@pytest.mark.parametrize("homes", [1, MOST_HOMES + 5])
def test_it_is_bounded(homes: int) -> None:
    log = RejectedCalls()
    for home in range(homes):
        for n in range(MOST + 3):
            log.add(("w", str(home)), call(n))
    sizes = [len(log.since(("w", str(home)), 0)) for home in range(homes)]
    assert max(sizes) == MOST
    assert sum(size > 0 for size in sizes) == min(homes, MOST_HOMES)
    assert log.since(("w", str(homes - 1)), 0)[0].at_ms == MOST + 2
