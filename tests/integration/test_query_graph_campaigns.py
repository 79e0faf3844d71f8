"""Campaigns, webhooks and their log over GraphQL, on a real engine: as the endpoints show them, and in few queries."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from deploy.local import seed
from schemas.control import control_state
from schemas.control.control_state import ApiKey, Campaign, ControlState, Variant, Webhook
from schemas.control.launch_jobs import Audience, LaunchJob
from schemas.records.deliveries import Attempt
from sinks.clickhouse.rows import CONTACTS, DELIVERY_ATTEMPTS, EVENTS
from sinks.read_api.request.tenant import Tenant
from tests.integration.test_query_graph import ask, contact, counted
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

CAMPAIGNS, WEBHOOKS, ATTEMPTS = 7, 5, 4
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOME: dict[str, Any] = {"workspace": WORKSPACE, "environment": ENVIRONMENT}


def campaign(n: int, **more: Any) -> Campaign:
    body = {"name": f"Campaign {n}", "channel": "email", "status": "sent" if n % 2 else "paused", "number": n + 1}
    times = {"created_ms": NOW_MS + n, "updated_ms": NOW_MS + n}
    return Campaign(id=f"cmp_{n}", **HOME, **body, **times, variants=(Variant(id="a", name="Short"),), **more)


def webhook(n: int, **more: Any) -> Webhook:
    times = {"created_ms": NOW_MS + n, "updated_ms": NOW_MS + n}
    body = {"url": f"https://example.com/{n}", "types": ("*",), "secret": SECRET}
    return Webhook(**{"id": f"whk_{n}", **HOME, **body, **times, **more})


def attempt(of: int, n: int) -> Attempt:
    return Attempt(
        id=f"dlv_{of}{n}_1_0123abcd",
        delivery_id=f"dlv_{of}{n}",
        webhook_id=f"whk_{of}",
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        contact_id=cid(f"external_id:p{n}"),
        event_id=f"evt_{n}",
        type="page_view",
        attempt=1,
        status="succeeded" if n else "failed",
        url="https://example.com/",
        response_code=200 if n else 0,
        error="" if n else "cannot connect",
        duration_ms=5,
        at_ms=NOW_MS + n,
        next_ms=0,
        request_headers=b"{}",
        request_body=b"{}",
        response_body=b"",
    )


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """Campaign n has sent n messages of its variant and one more of another; every webhook has a log as long."""
    settings = fresh_settings(tmp_path_factory.mktemp("graph"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        for n in range(CAMPAIGNS):
            await api.define("campaign", campaign(n))
        for n in range(WEBHOOKS):
            await api.define("webhook", webhook(n))
        await api.define("webhook", webhook(99, environment="staging"))
        scopes = (("few", ("campaigns:read", "webhooks:read")), ("none", ("contacts:read",)))
        for name, allowed in scopes:
            key = ApiKey(
                id=f"key_{name}",
                name=name,
                kind="secret",
                scopes=allowed,
                sha256=control_state.digest(f"sk_{name}"),
                created_ms=NOW_MS,
                **HOME,
            )
            await api.define("key", key)
        people = [f"external_id:p{n}" for n in range(CAMPAIGNS)]
        await api.store(CONTACTS, *(contact(p, email=f"{n}@b.c") for n, p in enumerate(people)))
        await api.store(
            EVENTS,
            *(
                event(
                    people[k],
                    event_id=f"evt_{n}_{k}",
                    type="message.sent",
                    campaign_id=f"cmp_{n}",
                    message_id=f"m{n}_{k}",
                    variant="a" if k < n else "b",
                )
                for n in range(1, CAMPAIGNS)
                for k in range(n + 1)
                if k < len(people)
            ),
        )
        rows = [attempt(of, n) for of in range(WEBHOOKS) for n in range(ATTEMPTS)]
        # a record that is read again is a row that the engine has not merged yet
        await api.store(DELIVERY_ATTEMPTS, *rows, *rows[:3])
        yield api


async def test_launches_of_a_campaign_with_their_counts(api: ReadPipeline) -> None:
    query = """query($f: Int, $a: String) { campaign(id: "cmp_1") { launches(first: $f, after: $a) { nodes {
        id status audience overrideConsent onEntry total launched skipped { noAddress noConsent capped gone }
        createdAt doneAt reason } pageInfo { hasNextPage endCursor } } } }"""
    for n in range(3):
        skipped = {"no_consent": n, "gone": 1}
        job = LaunchJob(
            id=f"lch_{n}",
            created_ms=NOW_MS + n,
            campaign="cmp_1",
            audience=Audience(segment="seg_1"),
            **HOME,
            key_id="k",
            total=9,
            launched=8 - n,
            skipped=skipped,
            done_ms=NOW_MS + 9,
        )
        await api.define("launch", job)
    await api.define("launch", job.model_copy(update={"id": "lch_other", "environment": "staging"}))
    shown = (await api.get("/v1/campaigns/cmp_1/launches"))["data"]
    first = (await ask(api, query, f=2))["data"]["campaign"]["launches"]
    assert first["pageInfo"]["hasNextPage"]
    rest = (await ask(api, query, f=2, a=first["pageInfo"]["endCursor"]))["data"]["campaign"]["launches"]
    assert not rest["pageInfo"]["hasNextPage"]
    nodes = [*first["nodes"], *rest["nodes"]]
    assert [node["id"] for node in nodes] == ["lch_2", "lch_1", "lch_0"]
    for ours, theirs in zip(nodes, shown, strict=True):
        names = {"overrideConsent": "override_consent", "onEntry": "on_entry"}
        names |= {"createdAt": "created_at", "doneAt": "done_at"}
        skips = {"noAddress": "no_address", "noConsent": "no_consent"}
        assert {skips.get(name, name): value for name, value in ours.pop("skipped").items()} == theirs["skipped"]
        assert {names.get(name, name): value for name, value in ours.items()}.items() <= theirs.items()


STATS = "stats { sent delivered conversions conversionValue bounces rates }"


async def test_a_campaign_is_what_its_endpoint_shows(api: ReadPipeline) -> None:
    query = """query($id: ID!) { campaign(id: $id) { id number name kind channel status conversion delivery triggerUrl
        createdAt updatedAt sentAt contactsReached variants { id name stats { sent } } %s } }"""
    for named in ("cmp_3", "4"):
        shown = await api.get("/v1/campaigns/cmp_3")
        row = (await ask(api, query % STATS, id=named))["data"]["campaign"]
        for ours, theirs in (("id", "id"), ("number", "number"), ("sentAt", "sent_at"), ("createdAt", "created_at")):
            assert row[ours] == shown[theirs], ours
        assert row["stats"]["sent"] == shown["stats"]["sent"] == 4
        assert row["stats"]["rates"] == shown["stats"]["rates"]
        assert row["contactsReached"] == shown["stats"]["contacts"]
        listed = [(v["id"], v["name"], v["stats"]["sent"]) for v in row["variants"]]
        assert listed == [(v["id"], v["name"], v["stats"]["sent"]) for v in shown["variants"]]
        assert listed == [("a", "Short", 3), ("b", None, 1)]
    for nobody in ("cmp_nobody", "99"):
        assert (await ask(api, query % STATS, id=nobody))["data"]["campaign"] is None


async def test_campaigns_by_page_by_cursor_and_by_status(api: ReadPipeline) -> None:
    query = """query($l: Int, $p: Int, $s: String, $a: String) { campaigns(limit: $l, page: $p, status: $s, after: $a) {
        edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""

    async def page(**variables: Any) -> tuple[list[str], Any]:
        row = (await ask(api, query, **variables))["data"]["campaigns"]
        return [edge["node"]["id"] for edge in row["edges"]], row["pageInfo"]

    newest = [f"cmp_{n}" for n in reversed(range(CAMPAIGNS))]
    by_page = [await page(l=3, p=p) for p in (1, 2, 3)]
    assert [id_ for ids, _ in by_page for id_ in ids] == newest
    assert [info["hasNextPage"] for _, info in by_page] == [True, True, False]
    assert [info["hasPreviousPage"] for _, info in by_page] == [False, True, True]
    behind, info = await page(l=3, a=by_page[0][1]["endCursor"])
    assert (behind, info["hasNextPage"]) == (newest[3:6], True)
    assert (await page(s="sent"))[0] == ["cmp_5", "cmp_3", "cmp_1"]
    assert (await page(s="nothing"))[0] == []
    for wrong in ({"l": 0}, {"l": 101}, {"p": 0}, {"p": 1, "a": "x"}, {"a": "x"}):
        answer = await ask(api, query, **wrong)
        assert answer["errors"][0]["extensions"]["code"] == "invalid_field", wrong


async def test_webhooks_and_their_log(api: ReadPipeline) -> None:
    query = """query($f: Int, $a: String) { webhooks(first: $f, after: $a) {
        nodes { id url types status reason createdAt } pageInfo { hasNextPage endCursor } } }"""
    first = (await ask(api, query, f=3))["data"]["webhooks"]
    rest = (await ask(api, query, f=3, a=first["pageInfo"]["endCursor"]))["data"]["webhooks"]
    assert [w["id"] for w in first["nodes"] + rest["nodes"]] == [f"whk_{n}" for n in range(WEBHOOKS)]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    log = """query($w: ID!, $a: String) { deliveries(webhookId: $w, first: 3, after: $a) { edges { cursor node {
        id deliveryId eventId contactId type attempt status responseCode error durationMs at nextAttemptAt } }
        pageInfo { hasNextPage endCursor } } }"""
    deliveries = (await ask(api, log, w="whk_2"))["data"]["deliveries"]
    two = (await ask(api, log, w="whk_2", a=deliveries["pageInfo"]["endCursor"]))["data"]["deliveries"]
    nodes = [edge["node"] for edge in deliveries["edges"] + two["edges"]]
    shown = (await api.get("/v1/webhooks/whk_2/deliveries"))["data"]
    assert [list(node.values()) for node in nodes] == [[row[n] for n in _NAMES] for row in shown]
    assert len(nodes) == ATTEMPTS
    assert (deliveries["pageInfo"]["hasNextPage"], two["pageInfo"]["hasNextPage"]) == (True, False)
    for unknown in ("whk_99", "whk_nobody"):
        answer = await ask(api, log, w=unknown)
        assert answer["errors"][0]["extensions"]["code"] == "not_found"
    everything = "{ webhooks { nodes { id url types deliveries { nodes { id } } } } }"
    assert SECRET not in str(await ask(api, everything))
    refused = await ask(api, "{ webhooks { nodes { secret } } }", status=400)
    assert "secret" in refused["errors"][0]["message"]


_NAMES = (
    *("id", "delivery_id", "event_id", "contact_id", "type", "attempt", "status", "response_code", "error"),
    *("duration_ms", "at", "next_attempt_at"),
)


@pytest.mark.parametrize(
    "query",
    [
        '{ campaign(id: "cmp_1") { id } }',
        "{ campaigns { nodes { id } } }",
        "{ webhooks { nodes { id } } }",
        '{ deliveries(webhookId: "whk_1") { nodes { id } } }',
    ],
)
async def test_each_asks_for_its_scope(api: ReadPipeline, query: str) -> None:
    assert "errors" not in await ask(api, query, key="sk_few")
    (error,) = (await ask(api, query, key="sk_none"))["errors"]
    assert error["extensions"]["code"] == "missing_scope"


async def test_a_logs_contact_asks_for_a_scope_of_its_own(api: ReadPipeline) -> None:
    query = '{ deliveries(webhookId: "whk_1", first: 1) { nodes { contactId contact { email } } } }'
    result = await ask(api, query, key="sk_few")
    assert {error["extensions"]["code"] for error in result["errors"]} == {"missing_scope"}
    (node,) = result["data"]["deliveries"]["nodes"]
    assert (node["contactId"], node["contact"]) == (cid("external_id:p3"), None)
    (node,) = (await ask(api, query))["data"]["deliveries"]["nodes"]
    assert node["contact"] == {"email": "3@b.c"}


async def test_what_costs_too_much_is_refused(api: ReadPipeline) -> None:
    dear = "{ webhooks(first: 100) { nodes { deliveries(first: 100) { nodes { contact { id } } } } } }"
    (error,) = (await ask(api, dear, status=400))["errors"]
    assert error["extensions"]["code"] == "too_complex"


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("query($n: Int) { campaigns(limit: $n) { nodes { id name } } }", 0),
        ("query($n: Int) { campaigns(limit: $n) { nodes { sentAt stats { sent } variants { stats { sent } } } } }", 5),
        ("query($n: Int) { campaigns(limit: $n) { nodes { stats { sent } contactsReached } } }", 5),
        ("query($n: Int) { webhooks(first: $n) { nodes { id } } }", 0),
        ("query($n: Int) { webhooks(first: $n) { nodes { deliveries { nodes { id contact { email } } } } } }", 4),
    ],
)
async def test_the_number_of_queries_does_not_grow(api: ReadPipeline, query: str, most: int) -> None:
    state = ControlState()
    for kind, record in seed.records():
        state.apply(*control_state.encode(kind, record))
    for n in range(CAMPAIGNS):
        state.apply(*control_state.encode("campaign", campaign(n)))
    for n in range(WEBHOOKS):
        state.apply(*control_state.encode("webhook", webhook(n)))
    home = Tenant(WORKSPACE, ENVIRONMENT, [])
    counts = {}
    for n in (1, WEBHOOKS):
        data, counts[n] = await counted(api.settings, state, home, query, n)
        (datum,) = data.values()
        assert len(datum["nodes"]) == n
    assert counts[1] == counts[WEBHOOKS] <= most, counts
