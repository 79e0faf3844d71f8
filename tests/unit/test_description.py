"""The description is the API's: each route that is served is described, and each that is described is served."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from starlette.routing import Route

from ingest.app import build_app as build_edge_app
from ingest.dialects import OPERATIONS
from ingest.receivers import NAMES
from schemas.api.answers.campaigns import MESSAGE_KINDS
from schemas.api.document import document
from schemas.api.route import PUBLIC, RouteSpec
from schemas.api.routes import EDGE_READS, READS, ROUTES, WRITES
from schemas.control.definitions import SCOPES
from schemas.errors import STATUS, ApiError
from schemas.limits import CAMPAIGN_SORTS, EVENT_IDENTIFIERS
from schemas.rules import parse
from schemas.settings import Settings
from sinks.read_api import app as reads
from sinks.read_api.campaigns.campaigns import SORTS
from sinks.read_api.campaigns.facts import KINDS
from sinks.read_api.routes import INTERNAL
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

UNTOLD = {("GET", "/docs"), ("GET", "/docs/{name}"), ("GET", "/metrics")}
ASIDE = (INTERNAL, "/console")
"""Pages for people, and what the edge alone asks."""


def served(routes: list[Any]) -> set[tuple[str, str]]:
    api_routes = [route for route in routes if isinstance(route, Route) and not route.path.startswith(ASIDE)]
    api_routes = [route for route in api_routes if route.path != "/"]
    return {(method, route.path) for route in api_routes for method in route.methods or () if method != "HEAD"}


def routes_of(app: Any) -> list[Any]:
    """Of a surface around a router, or around a function that asks one."""
    inner = app._app
    return list(inner.routes if hasattr(inner, "routes") else inner.__closure__[0].cell_contents.routes)


def described(routes: tuple[RouteSpec, ...]) -> set[tuple[str, str]]:
    return {(route.method, route.path) for route in routes}


def test_every_read_is_described_and_every_description_read(tmp_path: Path) -> None:
    own = {("GET", "/openapi.json")}
    assert served(routes_of(reads.build_app(Settings(home=tmp_path)))) == described(READS) - own


def test_every_write_is_described_and_every_description_written(tmp_path: Path) -> None:
    hot = build_edge_app(memory_edge(tmp_path, MemoryLog()))
    vendors = {(m, o.path) for o in OPERATIONS if o.source != "altacee" for m in o.methods}
    caught = {path for _, path in served(routes_of(hot._app)) if path in ("/v1/{path:path}", "/graphql", "/tasks/{id}")}
    writes = {pair for pair in served(routes_of(hot._app)) if pair[1] not in caught} - vendors - UNTOLD
    passed = {(r.method, r.path) for r in READS if r.method == "POST" and r.path != "/graphql"}
    public = {(r.method, r.path) for r in READS if r.scope == PUBLIC}
    assert writes == described(WRITES) | described(EDGE_READS) | passed | public


def test_the_scopes_of_reads_are_those_that_are_asked_for(tmp_path: Path) -> None:
    scopes = {(r.method, r.path): r.scope for r in READS}
    checked = 0
    for route in routes_of(reads.build_app(Settings(home=tmp_path))):
        if route.path.startswith(INTERNAL) or route.name not in SCOPES:
            continue
        method = next(iter(route.methods - {"HEAD"}))
        assert scopes[method, route.path] == route.name, route.path
        checked += 1
    assert checked >= 25


@pytest.mark.parametrize("route", [*WRITES, *EDGE_READS], ids=lambda r: f"{r.method} {r.path}")
async def test_a_write_asks_for_the_scope_that_is_described(route: RouteSpec, tmp_path: Path) -> None:
    if route.scope == PUBLIC:
        return
    path = route.public_path.replace("{id}", "email:a@b.c").replace("{delivery_id}", "dlv_1")
    edge = memory_edge(tmp_path, MemoryLog())
    edge.control.keys = {sha: key.model_copy(update={"scopes": ()}) for sha, key in edge.control.keys.items()}
    async with client_of(edge) as client:
        answer = await client.request(route.method, path, headers={"Authorization": "Bearer sk_dev_local"})
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["message"] == f"the key lacks the scope {route.scope}"


def test_each_route_is_described_once_and_names_what_there_is() -> None:
    assert len(described(ROUTES)) == len(ROUTES)
    names = document()["components"]["schemas"]
    for route in ROUTES:
        for shape in (*route.answers.values(), *route.errors.values(), route.body):
            assert not shape or shape.removesuffix("[]") in names, (route.path, shape)
    assert {route.scope for route in ROUTES} <= {*SCOPES, PUBLIC, "*"}


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    whole = document()
    for schema in whole["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", ()):
            jsonschema.Draft202012Validator({**schema, "components": whole["components"]}).validate(example)
    for target in _references(whole):
        place = whole
        for part in target.removeprefix("#/").split("/"):
            place = place[part]
    ids = [o["operationId"] for methods in whole["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for inner in value.values() for reference in _references(inner)]
    return [reference for inner in value for reference in _references(inner)] if isinstance(value, list) else []


def test_what_is_said_in_two_places_is_the_same() -> None:
    """Names that belong to a function each are listed for the description as well."""
    assert tuple(SORTS) == CAMPAIGN_SORTS
    assert tuple(KINDS) == MESSAGE_KINDS
    assert set(EVENT_IDENTIFIERS) <= set(document()["components"]["schemas"]["Event"]["properties"])
    assert NAMES


RULES: tuple[tuple[Any, bool], ...] = (
    ({"attribute": "plan", "op": "eq", "value": "pro"}, True),
    ({"attribute": "plan", "op": "like", "value": "pro"}, False),
    ({"event": "x", "count": {"op": "gte", "value": 3}, "within": "30d"}, True),
    ({"event": "x", "sum": {"property": "total", "op": "gt", "value": 1}}, True),
    ({"event": "x", "count": {"op": "gte", "value": 3}, "for": "1d"}, False),
    ({"all": [{"not": {"segment": "seg_1"}}, {"identified": True}]}, True),
    ({"all": []}, False),
    ({"sequence": [{"event": "a"}, {"event": "b", "within": "1h"}]}, True),
    ({"absent": {"event": "a"}, "after": {"event": "b"}, "for": "2d"}, True),
    ({"absent": {"event": "a"}, "for": "2d"}, False),
    ({"event": "x", "count": {"op": "gte", "value": 3}, "within": "2w"}, True),
    ({"event": "x", "count": {"op": "gte", "value": 3}, "within": "2y"}, False),
    ({"event": "x", "count": {"op": "gte", "value": 3}, "within": "1234567890s"}, False),
    ({"consent": "mail", "value": False}, True),
    ({}, False),
)


@pytest.mark.parametrize(("written", "is_one"), RULES)
def test_a_rule_is_described_as_it_is_parsed(written: Any, is_one: bool) -> None:
    schema = {"$ref": "#/components/schemas/Rule", "components": document()["components"]}
    assert jsonschema.Draft202012Validator(schema).is_valid(written) is is_one
    try:
        parse.parse(written)
    except ApiError:
        assert not is_one
    else:
        assert is_one


async def test_what_php_writes_for_an_empty_object_is_taken_and_described(tmp_path: Path) -> None:
    schemas = document()["components"]["schemas"]
    log = MemoryLog()
    event = {"type": "seen", "user_id": "u1", "properties": [], "context": [], "consents": []}
    contact = {"external_id": "u1", "attributes": [], "consents": []}
    async with client_of(memory_edge(tmp_path, log)) as client:
        for path, name, body in (("events", "Event", event), ("contacts/batch", "ContactUpsert", contact)):
            shape = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
            jsonschema.validate(body, shape)
            given = {"contacts": [body]} if name == "ContactUpsert" else body
            answer = await client.post(f"/v1/{path}", json=given, headers=SECRET)
            assert answer.status_code == 202, answer.text
            filled = {**body, "consents": ["email_marketing"]}
            assert not jsonschema.Draft202012Validator(shape).is_valid(filled)
    assert [event["properties"] for event in log.events] == [b"{}", b"{}"]


async def test_everybody_may_read_it_and_the_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        description, page = await client.get("/openapi.json"), await client.get("/docs")
        names = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "start.js")
        parts = [await client.get(f"/docs/{name}") for name in names]
        none = await client.get("/docs/LICENSE")
    assert description.status_code == 200
    assert orjson.loads(description.content)["openapi"] == "3.1.0"
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "//" not in page.text
    assert [part.status_code for part in parts] == [200] * 4
    assert none.status_code == 404
    assert none.json()["error"]["code"] == "not_found"


def test_every_code_of_a_refusal_has_a_status_that_is_described() -> None:
    statuses = {int(status) for status in document()["components"]["responses"]}
    assert set(STATUS.values()) - statuses == {500, 501}
