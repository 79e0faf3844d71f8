"""The content of a launch at the edge: what nests too deeply for an event is refused, and nothing of it is written."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Router

from ingest.control.launch_routes import LaunchRoutes
from ingest.control.writer import ControlWriter
from ingest.http.read_api import ReadApiClient
from schemas.control import control_state
from schemas.control.control_state import Campaign
from schemas.control.launch_jobs import LaunchJobs
from schemas.service.web import ErrorMiddleware
from tests.support.edge import NOW_MS, SECRET, MemoryLog, memory_edge

PATH = "/v1/campaigns/cmp_1/launch"


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("name", ["content", "custom_data"])
@pytest.mark.parametrize("depth", [33, 300, 1000])
async def test_content_that_nests_too_deeply_is_refused(tmp_path: Path, name: str, depth: int) -> None:
    log = MemoryLog()
    edge = memory_edge(tmp_path, log)
    fields: dict[str, Any] = {
        "name": "Hello",
        "channel": "email",
        "status": "active",
        "number": 1,
        "updated_ms": NOW_MS,
    }
    home = {"workspace": "local", "environment": "production", "created_ms": NOW_MS}
    campaign = Campaign(id="cmp_1", delivery={"topic": "mail"}, **home, **fields)
    edge.control.apply(*control_state.encode("campaign", campaign))
    jobs = LaunchJobs()
    writer = ControlWriter(edge.settings, edge.control, edge.publisher)
    routes = LaunchRoutes(edge, ReadApiClient("http://127.0.0.1:1"), writer, jobs).routes()
    transport = httpx.ASGITransport(ErrorMiddleware(Router(routes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://edge", headers=SECRET) as client:
        body = f'{{"rule": {{"identified": true}}, "{name}": {nested(depth)}}}'
        answer = await client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, name)
    assert "nested deeper than 32" in answer.json()["error"]["message"]
    assert not jobs.open()
