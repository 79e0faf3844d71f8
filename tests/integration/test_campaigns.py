"""Campaigns' figures on a real engine: equal to a recount of raw events, with replays, merges and late events."""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from schemas.control.control_state import Campaign, Conversion, Variant
from schemas.records.records import Event, Merge
from schemas.times import iso
from sinks.clickhouse.rows import EVENTS, OVERRIDES
from tests.support import campaign_oracle as oracle
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, ident
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

HOUR = 3_600_000
YESTERDAY_MS = NOW_MS + 40 * HOUR
GOALS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"event": "order_completed", "window": "5h", "value": "total"},
    {"event": "conversion", "window": "2h", "value": "total"},
    {"event": "signed_up", "window": "1d", "value": None},
)
RANDOM = [f"cmp_r{n}" for n in range(len(GOALS))]


def campaign(name: str, n: int = 0, **more: Any) -> Campaign:
    fields: dict[str, Any] = {"kind": "standard", "channel": "email", "status": "sent", **more}
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS + n, "updated_ms": NOW_MS + n}
    return Campaign(id=f"cmp_{name}", name=f"Campaign {name}", number=n, **home, **fields)


def merged(loser: str, winner: str, version: int, at_ms: int) -> Merge:
    return Merge(
        workspace=WORKSPACE,
        environment=ENVIRONMENT,
        loser=cid(loser),
        winner=cid(winner),
        version=version,
        at_ms=at_ms,
        event_id=f"evt_m{version}",
        identifier=ident(loser),
    )


def fact(kind: str, who: str, message: str = "", *, id: str, campaign: str = "cmp_a", **more: Any) -> Event:  # noqa: A002
    return event(who, event_id=id, type=kind, campaign_id=campaign, message_id=message, **more)


def generated(seed: int) -> tuple[list[Event], list[Merge]]:
    """Facts of four campaigns: repeats, late ones, contacts that merge, machines, orders that name no campaign."""
    rng = random.Random(seed)
    people = [f"{kind}:p{n}@x.io" for n in range(12) for kind in ("external_id", "email")]
    merges = [
        merged(f"email:p{n}@x.io", f"external_id:p{n}@x.io", n + 1, NOW_MS + rng.randrange(80) * HOUR)
        for n in range(0, 12, 2)
    ]
    types = [*(f"message.{k}" for k in oracle.KINDS), "message.deferred", "conversion", "order_completed", "signed_up"]
    events: list[Event] = []
    for n in range(1800):
        kind = rng.choice(types)
        goal = kind in ("order_completed", "signed_up")
        home = "" if goal and rng.random() < 0.8 else rng.choice([*RANDOM, "cmp_of_nobody"])
        message = f"m{rng.randrange(60)}" if rng.random() < 0.6 and not goal else ""
        properties: dict[str, Any] = {name: rng.choice([10, 2.5, "7.25", None]) for name in ("total", "value")}
        if kind in ("message.opened", "message.clicked"):
            properties["user_agent"] = rng.choice(oracle.MACHINE_AGENTS + oracle.PERSON_AGENTS)
            properties["machine_open"] = rng.random() < 0.1
        if kind == "message.bounced":
            properties["bounce_class"] = rng.choice(["hard", "Soft", "block"])
        received = NOW_MS + rng.randrange(80 * HOUR)
        who = (rng.choice(people),) if rng.random() < 0.95 else ()
        made_event = event(
            *who,
            event_id=f"evt_{seed}_{n}",
            type=kind,
            campaign_id=home,
            message_id=message,
            properties=properties,
            timestamp_ms=received - rng.choice([0, 0, rng.randrange(30 * HOUR)]),
            received_ms=received,
            variant=rng.choice(["", "a", "b"]) if message == "" else "ab"[int(message[1:]) % 2],
        )
        events.append(made_event)
        if rng.random() < 0.3:
            events.append({**made_event, "received_ms": received + rng.randrange(1, 20 * HOUR)})
    return events, merges


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("campaigns"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        for n, goal in enumerate(GOALS):
            conversion = None if goal is None else Conversion(**goal)
            await api.define(
                "campaign", campaign(f"r{n}", 100 + n, status="paused" if n else "draft", conversion=conversion)
            )
        variants = (Variant(id="a", name="Red"), Variant(id="b", name="Blue"))
        await api.define("campaign", campaign("a", 1, variants=variants))
        await api.define("campaign", campaign("b", 2, channel="sms", kind="trigger", trigger="ab12", sent_ms=NOW_MS))
        await api.define("campaign", campaign("c", 3, status="draft"))
        events, merges = generated(1)
        # in three parts, so that the engine has repeats in parts that it has not merged
        await api.store(EVENTS, *events[:700])
        await api.store(EVENTS, *events[700:])
        await api.store(EVENTS, *events[500:900])
        await api.store(OVERRIDES, *merges)
        await api.store(EVENTS, *told())
        yield api


def told() -> Iterator[Event]:
    """Campaign a: three messages whose story is easily told."""
    for n in range(3):
        who, message, variant = f"email:t{n}@x.io", f"msg{n}", "ab"[n % 2]
        yield fact("message.sent", who, message, id=f"s{n}", variant=variant, timestamp_ms=NOW_MS + n)
    for n in range(2):
        yield fact("message.delivered", f"email:t{n}@x.io", f"msg{n}", id=f"d{n}", timestamp_ms=NOW_MS + HOUR)
    properties = {"user_agent": "Mozilla/5.0"}
    yield fact("message.opened", "email:t0@x.io", "msg0", id="o0", properties=properties, timestamp_ms=NOW_MS + HOUR)
    yield fact("message.opened", "email:t1@x.io", "msg1", id="o1", timestamp_ms=NOW_MS + 2 * HOUR)
    bounce = {"bounce_class": "hard"}
    yield fact("message.bounced", "email:t2@x.io", "msg2", id="b2", properties=bounce, timestamp_ms=NOW_MS + 5)


def expected(events: list[Event], merges: list[Merge], home: str, as_of_ms: int | None) -> dict[str, Any]:
    until = NOW_MS * 2 if as_of_ms is None else as_of_ms
    owners = {m["loser"]: m["winner"] for m in merges if m["at_ms"] <= until}
    facts = oracle.facts_of(events, owners, until)
    goal = GOALS[RANDOM.index(home)]
    keys, count, value = oracle.conversions(facts, home, goal and {**goal, "value": goal["value"] or "value"})
    counts = {kind: len(times) for kind, times in oracle.firsts(facts, home).items()}
    return {**counts, "conversions": len(keys), "conversion_events": count, "conversion_value": value}


@pytest.mark.parametrize("home", RANDOM)
@pytest.mark.parametrize("as_of_ms", [None, YESTERDAY_MS, NOW_MS - 1])
async def test_figures_equal_a_recount(api: ReadPipeline, home: str, as_of_ms: int | None) -> None:
    query: dict[str, Any] = {} if as_of_ms is None else {"as_of": iso(as_of_ms)}
    stats = (await api.get(f"/v1/campaigns/{home}", **query))["stats"]
    figures = expected(*generated(1), home, as_of_ms)
    assert {kind: stats[kind] for kind in figures} == pytest.approx(figures)
    assert sum(stats["bounces"].values()) == stats["bounced"]
    listed = (await api.get("/v1/campaigns", limit=100, **query))["data"]
    (same,) = [c["stats"] for c in listed if c["id"] == home]
    assert same == {name: value for name, value in stats.items() if name != "contacts"}
    if as_of_ms is None:
        assert min(stats[kind] for kind in figures) > 0


async def test_contacts_that_merged_are_one_person(api: ReadPipeline) -> None:
    events, merges = generated(1)
    owners = {m["loser"]: m["winner"] for m in merges}
    facts = oracle.facts_of(events, owners, NOW_MS * 2)
    stats = (await api.get("/v1/campaigns/cmp_r1"))["stats"]
    for kind in ("sent", "delivered", "complained"):
        people = {c for e, c, _ in facts if e["type"] == f"message.{kind}" and e["campaign_id"] == "cmp_r1" and c}
        assert stats["contacts"][kind] == len(people)
    for kind in ("opened", "clicked"):
        mine = [(e, c) for e, c, _ in facts if (e["type"], e["campaign_id"]) == (f"message.{kind}", "cmp_r1") and c]
        persons = {c for e, c in mine if not oracle.by_machine(e)}
        assert stats["contacts"][kind] == len(persons)
        assert stats["contacts"][f"machine_{kind}"] == len({c for _, c in mine} - persons), "by machines alone"


@pytest.mark.parametrize("interval", ["hour", "day"])
async def test_a_series_adds_up_to_the_figures(api: ReadPipeline, interval: str) -> None:
    stats = (await api.get("/v1/campaigns/cmp_r1"))["stats"]
    points = (await api.get("/v1/campaigns/cmp_r1/timeseries", interval=interval))["data"]
    for kind in (*oracle.KINDS, "machine_opened", "machine_clicked", "conversions"):
        assert sum(point[kind] for point in points) == stats[kind], kind
    facts = oracle.facts_of(generated(1)[0], {m["loser"]: m["winner"] for m in generated(1)[1]}, NOW_MS * 2)
    step = {"hour": HOUR, "day": 24 * HOUR}[interval]
    firsts = oracle.firsts(facts, "cmp_r1")
    for kind in ("sent", "opened", "machine_opened"):
        expected: dict[str, int] = {}
        for at in firsts[kind].values():
            expected[iso(at // step * step)] = expected.get(iso(at // step * step), 0) + 1
        assert {p["at"]: p[kind] for p in points if p[kind]} == expected


async def test_a_series_has_a_span_and_limits(api: ReadPipeline) -> None:
    path = "/v1/campaigns/cmp_a/timeseries"
    start, end = NOW_MS // HOUR * HOUR, NOW_MS // HOUR * HOUR + 4 * HOUR
    span: dict[str, Any] = {"interval": "hour", "from": iso(start), "to": iso(end)}
    points = (await api.get(path, **span))["data"]
    assert [p["at"] for p in points] == [iso(start + n * HOUR) for n in range(4)]
    assert [p["sent"] for p in points] == [3, 0, 0, 0]
    assert sum(p["opened"] for p in points) == 1
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"interval": "fortnight"}, "interval"),
        ({"tz": "Europe/Berlni"}, "tz"),
        ({"tz": "../../etc/passwd", "interval": "week"}, "tz"),
        ({"tz": "Asia/Tokyo", "interval": "week", "from": "0001-01-01", "to": "0001-02-01"}, "from"),
        ({"interval": "minute", "from": "2020-01-01", "to": "2026-01-01"}, "interval"),
        ({"from": iso(end), "to": iso(start)}, "to"),
        ({"from": "soon"}, "from"),
        ({"as_of": "then"}, "as_of"),
    ]
    for query, param in wrong:
        assert (await api.get(path, 422, **query))["error"]["param"] == param


async def test_a_campaign_with_its_variants(api: ReadPipeline) -> None:
    answer = await api.get("/v1/campaigns/cmp_a")
    assert (answer["name"], answer["status"], answer["channel"]) == ("Campaign a", "sent", "email")
    assert answer["sent_at"] == iso(NOW_MS), "the first message's time, where nobody said when it was sent"
    stats = answer["stats"]
    expected = {"sent": 3, "delivered": 2, "opened": 1, "machine_opened": 1, "clicked": 0, "bounced": 1, "failed": 0}
    assert {name: stats[name] for name in expected} == expected
    assert stats["bounces"] == {"hard": 1}
    assert (stats["rates"]["open"], stats["rates"]["bounce"]) == (0.5, pytest.approx(1 / 3, abs=1e-6))
    assert stats["rates"]["click_to_open"] == 0
    parts = {v["id"]: (v["name"], v["stats"]["sent"], v["stats"]["opened"]) for v in answer["variants"]}
    assert parts == {"a": ("Red", 2, 0), "b": ("Blue", 1, 1)}
    assert await api.get("/v1/campaigns/1") == answer, "by its number too"
    await api.get("/v1/campaigns/cmp_x", 404)


async def test_campaigns_are_filtered_sorted_and_paged(api: ReadPipeline) -> None:
    async def ids(**query: Any) -> list[str]:
        return [c["id"] for c in (await listed(**query))["data"]]

    async def listed(**query: Any) -> Any:
        return (await api.http.get("/v1/campaigns", params=query)).json()

    assert await ids(limit=2) == ["cmp_r3", "cmp_r2"], "newest first"
    assert await ids(limit=2, page=2) == ["cmp_r1", "cmp_r0"]
    assert await ids(status="sent", sort="created_at") == ["cmp_a", "cmp_b", "cmp_r0"], "what was sent is no draft"
    assert await ids(status="draft") == ["cmp_c"]
    assert await ids(channel="sms") == await ids(kind="trigger") == ["cmp_b"]
    assert await ids(name="GN A") == ["cmp_a"]
    assert await ids(sort="name", limit=1) == ["cmp_a"]
    assert (await listed(status="sent", limit=1))["meta"] == {"total": 3, "page": 1, "limit": 1}
    first = await api.get("/v1/campaigns", cursor="", limit=5)
    rest = await api.get("/v1/campaigns", cursor=first["next_cursor"], limit=5)
    assert len({c["id"] for c in first["data"] + rest["data"]}) == 7
    assert (await api.get("/v1/campaigns", 422, sort="size"))["error"]["param"] == "sort"


async def test_deliveries_tell_what_became_of_each_message(api: ReadPipeline) -> None:
    path = "/v1/campaigns/cmp_a/deliveries"
    answer = await api.get(path)
    assert answer["meta"]["total"] == 3
    states = {d["message_id"]: (d["state"], d["contact_id"], d["variant"]) for d in answer["data"]}
    assert states == {
        "msg0": ("delivered", cid("email:t0@x.io"), "a"),
        "msg1": ("opened", cid("email:t1@x.io"), "b"),
        "msg2": ("bounced", cid("email:t2@x.io"), "a"),
    }
    bounced = (await api.get(path, state="bounced"))["data"]
    assert [(d["sent_at"], d["bounced_at"], d["bounce_class"], d["opened_at"]) for d in bounced] == [
        (iso(NOW_MS + 2), iso(NOW_MS + 5), "hard", None)
    ]
    of_one = await api.get(path, contact="email:t1@x.io")
    assert [d["message_id"] for d in of_one["data"]] == ["msg1"]
    assert (await api.get(path, 422, state="lost"))["error"]["param"] == "state"
    seen, cursor = [], ""
    while cursor is not None:
        page = await api.get(path, cursor=cursor, limit=2)
        seen += [d["message_id"] for d in page["data"]]
        cursor = page["next_cursor"]
    assert seen == ["msg2", "msg1", "msg0"], "newest first"


async def test_every_message_is_a_delivery_once(api: ReadPipeline) -> None:
    events, merges = generated(1)
    facts = oracle.facts_of(events, {m["loser"]: m["winner"] for m in merges}, NOW_MS * 2)
    messages = {message for times in oracle.firsts(facts, "cmp_r2").values() for message in times}
    assert (await api.get("/v1/campaigns/cmp_r2/deliveries"))["meta"]["total"] == len(messages)
