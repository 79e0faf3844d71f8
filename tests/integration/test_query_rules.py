"""What a rule says of stored rows, on a real engine: preview, explain, and the comparison with live memberships."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from schemas.control.control_state import Segment, SegmentProgress
from schemas.records.records import Change
from sinks.clickhouse.rows import CONTACTS, EVENTS, MEMBERSHIP_CHANGES
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event, ident
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

BUYERS = {"event": "bought", "count": {"op": "gte", "value": 2}}
ANN, BOB = "external_id:ann", "anonymous_id:bob"


def profile(who: str, **fields: Any) -> Change:
    fields = {"identifiers": [ident(who)], "created_ms": NOW_MS, "updated_ms": NOW_MS, **fields}
    return change(cid(who), "profile", 1, profile=orjson.dumps(fields))


def segment(name: str, rule: Any) -> Segment:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT}
    return Segment(id=name, name=name, rule=rule, version=3, created_ms=1000, updated_ms=1000, **home)


def live(name: str, partition: int) -> SegmentProgress:
    """The partition has read all history that there is."""
    where = {"workspace": WORKSPACE, "segment": name, "partition": partition}
    return SegmentProgress(id=f"{name}.{partition}", created_ms=1000, version=3, state="live", **where)


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """Ann bought twice and is told to be a buyer; Bob did too, and nobody told."""
    settings = fresh_settings(tmp_path_factory.mktemp("rules"), kafka=kafka, clickhouse=clickhouse)
    quick = {"parity_interval_s": 0.2, "parity_settle_s": 0.1}
    async with reads(settings.model_copy(update=quick)) as api:
        await api.store(CONTACTS, profile(ANN, attributes={"plan": "pro"}), profile(BOB), profile("external_id:cid"))
        bought = [(ANN, 1, 10), (ANN, 2, 20.5), (BOB, 3, 1), (BOB, 4, 2)]
        at = {n: NOW_MS - 400 * 86_400_000 + n * 1000 for _, n, _ in bought}
        await api.store(
            EVENTS,
            *(
                event(who, event_id=f"evt_{n}", type="bought", timestamp_ms=at[n], properties={"total": total})
                for who, n, total in bought
            ),
        )
        events = {
            "segment_id": "seg_buyers",
            "member": True,
            "segment_version": 3,
            "reason": "event",
            "event_id": "evt_2",
        }
        await api.store(MEMBERSHIP_CHANGES, change(cid(ANN), "membership", 2, **events))
        await api.define("segment", segment("seg_buyers", BUYERS))
        await api.define(
            "segment", segment("seg_pros", {"all": [{"segment": "seg_buyers"}, {"not": {"identified": False}}]})
        )
        await api.define("segment", segment("seg_pending", {"not": BUYERS}))
        for name in ("seg_buyers", "seg_pros"):
            for n in range(settings.partitions):
                await api.define("progress", live(name, n))
        yield api


async def post(api: ReadPipeline, path: str, body: Any = None, status: int = 200) -> Any:
    answer = await api.http.post(path, json=body)
    assert answer.status_code == status, (path, answer.status_code, answer.text)
    return answer.json()


@pytest.mark.parametrize(
    ("rule", "who"),
    [
        (BUYERS, [ANN, BOB]),
        ({"event": "bought", "sum": {"property": "total", "op": "gt", "value": 30}}, [ANN]),
        ({"segment": "seg_pros"}, [ANN]),
        ({"attribute": "plan", "op": "ne", "value": "pro"}, [BOB, "external_id:cid"]),
        ({"attribute": "plan", "op": "eq", "value": "') OR 1 --{x:String}"}, []),
    ],
)
async def test_preview_counts_whom_a_rule_would_have(api: ReadPipeline, rule: Any, who: list[str]) -> None:
    answer = await post(api, "/v1/segments/preview", {"rule": rule})
    assert (answer["contacts"], sorted(answer["sample"])) == (len(who), sorted(map(cid, who)))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "rule"),
        ({"rule": {"segment": "seg_none"}}, "rule.segment"),
        ({"rule": {"any": [{"event": "a", "count": {"op": "gte", "value": "3"}}]}}, "rule.any[0].count.value"),
        ({"rule": BUYERS, "name": "x"}, "name"),
    ],
)
async def test_preview_names_what_is_wrong(api: ReadPipeline, body: Any, param: str) -> None:
    assert (await post(api, "/v1/segments/preview", body, 422))["error"]["param"] == param


async def test_explain_says_what_counted(api: ReadPipeline) -> None:
    answer = await post(api, "/v1/segments/seg_buyers/explain?contact=external_id:ann")
    leaf = {"path": "rule", "met": True, "value": 2, "threshold": 2, "events": ["evt_1", "evt_2"]}
    assert (answer["member"], answer["version"], answer["leaves"], answer["changes_at"]) == (True, 3, [leaf], None)
    assert answer["since"] is not None
    other = await post(api, f"/v1/segments/seg_pros/explain?contact={cid(BOB)}")
    assert (other["member"], other["since"]) == (False, None)
    assert [(leaf["path"], leaf["met"]) for leaf in other["leaves"]] == [
        ("rule.all[0]", True),
        ("rule.all[1].not", True),
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/segments/seg_none/explain?contact=external_id:ann", 404),
        ("/v1/segments/seg_buyers/explain?contact=external_id:nobody", 404),
        ("/v1/segments/seg_buyers/explain", 422),
    ],
)
async def test_explain_of_nobody_is_refused(api: ReadPipeline, path: str, status: int) -> None:
    assert "error" in await post(api, path, status=status)


async def test_a_difference_is_found_and_told(api: ReadPipeline) -> None:
    """Nothing is said of a segment whose history is on its way: nobody is in it yet, and everybody should be."""

    async def found() -> Any:
        parity = await api.get("/v1/parity")
        return parity if parity["differences"] >= 2 else None

    parity = await eventually(found, "a difference")
    pairs = {(row["segment_id"], row["contact_id"]) for row in parity["latest"]}
    assert pairs == {("seg_buyers", cid(BOB)), ("seg_pros", cid(ANN))}
    log = (api.settings.home / "query.log").read_text()
    assert f"segment seg_buyers: membership of contact {cid(BOB)} differs from the rule" in log
