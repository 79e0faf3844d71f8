"""GraphQL over the read API, on a real engine: nodes, cursors, scopes, limits, and how many queries they take."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from deploy.local import seed
from schemas.api.requests.graphql import GraphQLRequest
from schemas.control import access, control_state, development
from schemas.control.control_state import ApiKey, ControlState, Segment
from schemas.control.launch_jobs import LaunchJobs
from schemas.records.records import Change, Merge
from schemas.settings import Settings
from sinks.clickhouse.rows import CONTACTS, EVENTS, MEMBERSHIP_CHANGES, OVERRIDES
from sinks.read_api.graphql import execution
from sinks.read_api.graphql.loaders import Loaders
from sinks.read_api.graphql.types import Context
from sinks.read_api.request.client import ClickHouseReader
from sinks.read_api.request.edge_client import EdgeClient, EdgeWrites
from sinks.read_api.request.tenant import Tenant
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, ident
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

PEOPLE = 25


def contact(name: str, version: int = 1, into: str = "", **profile: Any) -> Change:
    body = {"identifiers": [ident(name)], "created_ms": NOW_MS, "updated_ms": NOW_MS, **profile}
    return change(cid(name), "profile", version, profile=orjson.dumps(body), merged_into=into)


def merge(loser: str, winner: str) -> Merge:
    return Merge(
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        loser=cid(loser),
        winner=cid(winner),
        version=1,
        at_ms=NOW_MS,
        event_id="evt_m",
        identifier=ident(loser),
    )


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """Twenty-five people with four events each, the first of whom has swallowed another one with one more."""
    settings = fresh_settings(tmp_path_factory.mktemp("graph"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        people = [f"external_id:p{n}" for n in range(PEOPLE)]
        for name in ("a", "b"):
            segment = Segment(
                id=f"seg_{name}",
                workspace=WORKSPACE,
                environment=ENVIRONMENT,
                name=name,
                rule={"identified": True},
                version=1,
                created_ms=NOW_MS,
                updated_ms=NOW_MS,
            )
            await api.define("segment", segment)
        for key, scopes in (("few", ("segments:read",)), ("none", ("events:ingest",))):
            await api.define(
                "key",
                ApiKey(
                    id=f"key_{key}",
                    name=key,
                    workspace=WORKSPACE,
                    environment=ENVIRONMENT,
                    kind="secret",
                    scopes=scopes,
                    sha256=control_state.digest(f"sk_{key}"),
                    created_ms=NOW_MS,
                ),
            )
        await api.store(
            CONTACTS,
            *(contact(p, email=f"{n}@b.c", attributes={"n": n}) for n, p in enumerate(people)),
            contact("anonymous_id:x", version=2, into=cid(people[0])),
        )
        await api.store(OVERRIDES, merge("anonymous_id:x", people[0]))
        await api.store(
            EVENTS,
            *(
                event(p, event_id=f"evt_{n}_{k}", timestamp_ms=NOW_MS + k)
                for n, p in enumerate(people)
                for k in range(4)
            ),
            event("anonymous_id:x", event_id="evt_x", timestamp_ms=NOW_MS + 9),
        )
        members = [change(cid(p), "membership", 1, segment_id="seg_a", member=True, segment_version=1) for p in people]
        await api.store(MEMBERSHIP_CHANGES, *members)
        yield api


async def ask(api: ReadPipeline, query: str, key: str = "", status: int = 200, **variables: Any) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {"query": query, "variables": variables}
    answer = await api.http.post("/graphql", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    return answer.json()


async def test_a_contact_with_its_segments_and_events_by_a_losers_id(api: ReadPipeline) -> None:
    query = """query($id: ID!) { contact(id: $id) {
        id email attributes segments { id name contacts } events(first: 2) {
            edges { cursor node { id type contactId } } pageInfo { hasNextPage } } } }"""
    for name in ("anonymous_id:x", cid("anonymous_id:x"), "external_id:p0"):
        row = (await ask(api, query, id=name))["data"]["contact"]
        assert row["id"] == cid("external_id:p0")
        assert (row["email"], row["attributes"]) == ("0@b.c", {"n": 0})
        assert row["segments"] == [{"id": "seg_a", "name": "a", "contacts": PEOPLE}]
        assert [e["node"]["id"] for e in row["events"]["edges"]] == ["evt_x", "evt_0_3"]
        assert {e["node"]["contactId"] for e in row["events"]["edges"]} == {row["id"]}
        assert row["events"]["pageInfo"]["hasNextPage"]
    assert (await ask(api, query, id="external_id:nobody"))["data"]["contact"] is None
    assert (await ask(api, query, id="what is this"))["data"]["contact"] is None


async def test_cursors_lead_through_every_node_once(api: ReadPipeline) -> None:
    query = """query($after: String) { contacts(first: 10, after: $after) {
        edges { node { id } cursor } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
    seen, after, pages = [], None, 0
    while True:
        page = (await ask(api, query, after=after))["data"]["contacts"]
        seen += [edge["node"]["id"] for edge in page["edges"]]
        pages += 1
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert pages == 3
    assert seen == sorted(cid(f"external_id:p{n}") for n in range(PEOPLE))
    events = 'query($after: String) { events(contactId: "external_id:p0", first: 2, after: $after) {'
    events += " edges { node { id } cursor } pageInfo { hasNextPage endCursor } } }"
    first = (await ask(api, events))["data"]["events"]
    second = (await ask(api, events, after=first["edges"][0]["cursor"]))["data"]["events"]
    assert [e["node"]["id"] for e in first["edges"]] == ["evt_x", "evt_0_3"]
    assert [e["node"]["id"] for e in second["edges"]] == ["evt_0_3", "evt_0_2"]


async def test_lists_are_filtered(api: ReadPipeline) -> None:
    query = "query($e: String, $s: ID) { contacts(email: $e, segmentId: $s) { nodes { id } } }"
    assert (await ask(api, query, e=" 3@B.c", s="seg_a"))["data"]["contacts"]["nodes"] == []  # known by another id
    assert len((await ask(api, query, s="seg_a"))["data"]["contacts"]["nodes"]) == 20
    assert (await ask(api, query, s="seg_b"))["data"]["contacts"]["nodes"] == []
    names = (await ask(api, "{ segments(first: 1) { nodes { name } pageInfo { hasNextPage } } }"))["data"]["segments"]
    assert names == {"nodes": [{"name": "a"}], "pageInfo": {"hasNextPage": True}}
    assert (await ask(api, '{ segment(id: "seg_b") { name rule status } }'))["data"]["segment"]["name"] == "b"


async def test_each_field_asks_for_its_scope_and_spares_its_neighbour(api: ReadPipeline) -> None:
    query = "{ segments { nodes { id } } contacts { nodes { id } } }"
    refused = await ask(api, query, key="sk_few")
    (error,) = refused["errors"]
    assert error["extensions"]["code"] == "missing_scope"
    assert error["path"] == ["contacts"]
    alone = await ask(api, '{ contact(id: "external_id:p0") { id } segments { nodes { id } } }', key="sk_few")
    assert alone["data"]["contact"] is None
    assert len(alone["data"]["segments"]["nodes"]) == 2
    assert (
        await api.http.post("/graphql", json={"query": query}, headers={"Authorization": "Bearer sk_no"})
    ).status_code == 401
    (error,) = (await ask(api, "{ segments { nodes { id } } }", key="sk_none"))["errors"]
    assert error["extensions"]["code"] == "missing_scope"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "object"),
        (b"{}", 422, "query"),
        (b'{"query": "{ segments { nodes { id } } }", "variables": 3}', 422, "variables"),
        (b'{"query": "{ segments {"}', 400, "Syntax"),
        (b'{"query": "{ nothing }"}', 400, "nothing"),
        (b'{"query": "{ contacts(first: 0) { nodes { id } } }"}', 200, "first must be"),
        (b'{"query": "{ contacts(after: \\"x\\") { nodes { id } } }"}', 200, "cursor"),
        (b'{"query": "query { ...f } fragment f on Query { ...f }"}', 400, "itself"),
    ],
)
async def test_what_is_wrong_is_named(api: ReadPipeline, body: bytes, status: int, message: str) -> None:
    answer = await api.http.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert message in answer.text
    dear = "{ contacts(first: 100) { nodes { events(first: 100) { nodes { contact { events { nodes { id } } } } } } } }"
    (error,) = (await ask(api, dear, status=400))["errors"]
    assert error["extensions"]["code"] == "too_complex"


async def test_a_query_may_come_by_get_and_a_mutation_not(api: ReadPipeline) -> None:
    answer = await api.get(
        "/graphql", query="query($n: Int) { segments(first: $n) { nodes { id } } }", variables='{"n": 1}'
    )
    assert answer["data"]["segments"]["nodes"] == [{"id": "seg_a"}]
    refused = await api.get("/graphql", 405, query='mutation { upsertSegment(name: "x") { id } }')
    assert refused["error"]["code"] == "method_not_allowed"
    assert (await api.http.get("/graphql")).status_code == 404  # the explorer is off


class Counted(ClickHouseReader):
    """The reader that everybody uses, counting."""

    queries = 0

    async def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        self.queries += 1
        return await super().rows(sql, **parameters)


async def counted(settings: Settings, state: ControlState, home: Tenant, query: str, n: int) -> tuple[Any, int]:
    """What is answered to a query of ``n`` nodes, and how many times the database was asked for it."""
    reader = Counted(settings)
    await reader.start()
    context = Context(
        principal=access.authorise(state, development.SECRET_KEY, None, NOW_MS),
        tenant=home,
        reader=reader,
        control=state,
        loaders=Loaders(reader, state, home),
        launches=LaunchJobs(),
        writes=EdgeWrites(EdgeClient(settings), {}, {}),
    )
    answer = await execution.execute(GraphQLRequest(query=query, variables={"n": n}), context, may_write=False)
    await reader.stop()
    body = orjson.loads(bytes(answer.body))
    assert "errors" not in body
    return body["data"], reader.queries


async def test_the_number_of_queries_does_not_grow_with_the_number_of_nodes(api: ReadPipeline) -> None:
    state = ControlState()
    for kind, record in seed.records():
        state.apply(*control_state.encode(kind, record))
    assert state.key(development.SECRET_KEY, NOW_MS) is not None
    query = """query($n: Int) { contacts(first: $n) { nodes { id segments { id contacts }
        events(first: 2) { nodes { id contact { id email } } } } } }"""
    counts = {}
    for n in (2, PEOPLE):
        home = Tenant(WORKSPACE, ENVIRONMENT, ["seg_a"])
        result, counts[n] = await counted(api.settings, state, home, query, n)
        nodes = result["contacts"]["nodes"]
        assert len(nodes) == n
        assert all(len(node["events"]["nodes"]) == 2 for node in nodes)
        assert all(e["contact"]["id"] == node["id"] for node in nodes for e in node["events"]["nodes"])
    assert counts[2] == counts[PEOPLE] <= 8
