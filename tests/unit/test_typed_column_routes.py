"""Requests for a typed column at the edge: their records, their refusals, and the column's names in SQL."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route, Router

from ingest.control.typed_columns import TypedColumnRoutes
from ingest.control.writer import ControlWriter
from ingest.events.edge import Edge
from schemas.api import serialize
from schemas.control.control_state import ControlState, TypedColumn, encode
from schemas.limits import MOST_TYPED_COLUMNS
from schemas.service.web import ErrorMiddleware
from tests.support.edge import MemoryLog, memory_edge

PATH = "/v1/typed-columns"
HOME = ("local", "production")


def client_of(edge: Edge, key: str = "sk_dev_local") -> httpx.AsyncClient:
    typed = TypedColumnRoutes(edge, ControlWriter(edge.settings, edge.control, edge.publisher))
    place = f"{PATH}/{{property:path}}"
    routes = [Route(place, typed.put, methods=["PUT"]), Route(place, typed.delete, methods=["DELETE"])]
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(ErrorMiddleware(Router(routes)))
    return httpx.AsyncClient(transport=transport, base_url="http://edge", headers=headers)


async def test_a_property_is_asked_for_changed_and_given_up(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    async with client_of(edge) as client:
        answer = await client.put(f"{PATH}/total", json={"type": "number"})
        assert (answer.status_code, answer.json()["column"]) == (202, "numbers['total']")
        assert (answer.json()["status"], answer.json()["filled_at"]) == ("filling", None)
        before = edge.control.typed_columns[HOME]["total"]
        await client.put(f"{PATH}/total", json={"type": "number"})
        assert edge.control.typed_columns[HOME]["total"] is before, "asked for again it is filled only once"
        odd = "shipping.a/b c'd\\e"
        answer = await client.put(f"{PATH}/{'shipping.a%2Fb%20c%27d%5Ce'}", json={"type": "time"})
        assert answer.json()["column"] == "times['shipping.a/b c\\'d\\\\e']"
        assert set(edge.control.typed_columns[HOME]) == {"total", odd}
        staging = await client.put(f"{PATH}/plan?environment=staging", json={"type": "string"})
        assert staging.status_code == 202
        assert set(edge.control.typed_columns) == {HOME, ("local", "staging")}
        assert (await client.delete(f"{PATH}/total")).status_code == 204
        assert (await client.delete(f"{PATH}/total")).status_code == 404
        assert set(edge.control.typed_columns[HOME]) == {odd}


@pytest.mark.parametrize(
    ("name", "body", "status", "param"),
    [
        ("total", {}, 422, "type"),
        ("total", {"type": "decimal"}, 422, "type"),
        ("total", {"type": "number", "column": "x"}, 422, "column"),
        ("total", [], 400, None),
        ("%20", {"type": "number"}, 422, "property"),
        ("a%00b", {"type": "number"}, 422, "property"),
        ("a" * 201, {"type": "number"}, 422, "property"),
    ],
)
async def test_what_is_no_property_or_type_is_refused(
    tmp_path: Path, name: str, body: Any, status: int, param: str | None
) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    async with client_of(edge) as client:
        answer = await client.put(f"{PATH}/{name}", json=body)
    assert (answer.status_code, answer.json()["error"].get("param")) == (status, param), answer.text
    assert edge.control.typed_columns == {}


async def test_an_environment_has_so_many_and_only_an_admin_asks(tmp_path: Path) -> None:
    edge = memory_edge(tmp_path, MemoryLog())
    async with client_of(edge) as client:
        for n in range(MOST_TYPED_COLUMNS):
            assert (await client.put(f"{PATH}/p{n}", json={"type": "string"})).status_code == 202
        assert (await client.put(f"{PATH}/more", json={"type": "string"})).status_code == 409
        assert (await client.put(f"{PATH}/p0", json={"type": "number"})).status_code == 202
        assert (await client.put(f"{PATH}/more?environment=staging", json={"type": "string"})).status_code == 202
    async with client_of(edge, "pk_dev_local") as client:
        assert (await client.put(f"{PATH}/p0", json={"type": "string"})).status_code == 403
        assert (await client.delete(f"{PATH}/p0")).status_code == 403


def test_a_column_that_is_gone_leaves_nothing() -> None:
    state = ControlState()
    column = TypedColumn(
        id="production.a.b", workspace="w", environment="production", property="a.b", type="number", created_ms=1
    )
    state.apply(*encode("typed_column", column))
    assert serialize.typed_column(state.typed_columns["w", "production"]["a.b"], 5)["status"] == "ready"
    state.apply(encode("typed_column", column)[0], None)
    assert state.typed_columns == {}
