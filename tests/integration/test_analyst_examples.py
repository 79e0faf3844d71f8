"""Every SQL example of the tables' README, run as an analyst would, on a real engine."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from schemas.control.definitions import TypedColumn
from schemas.records.records import Event
from sinks.clickhouse.rows import CONTACTS, EVENTS, MEMBERSHIP_CHANGES, OVERRIDES
from sinks.clickhouse.writer import Writer
from tests.integration.contact_rows import contact, member
from tests.integration.test_campaigns import merged
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

README = Path(__file__).parents[2] / "schemas" / "clickhouse" / "README.md"
EXAMPLES: dict[str, str] = dict(re.findall(r"```sql\n-- ([^\n]+)\n(.*?)```", README.read_text(), re.DOTALL))


DAY = 86_400_000
ANNA, BERT = cid("external_id:anna"), cid("external_id:bert")


def fact(kind: str, who: str, message: str, hours: int = 0) -> Event:
    fields: dict[str, Any] = {"type": f"message.{kind}", "campaign_id": "cmp_1", "message_id": message}
    return event(who, event_id=f"{kind}{message}", timestamp_ms=NOW_MS + hours * 3_600_000, **fields)


def order(who: str, id: str, days: int, total: float) -> Event:  # noqa: A002
    at = NOW_MS + days * DAY
    return event(who, event_id=id, type="order_completed", timestamp_ms=at, properties={"total": total})


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """Anna, who was anonymous before, and Bert: one campaign, orders in time and one too late."""
    settings = fresh_settings(tmp_path_factory.mktemp("examples"), kafka=kafka, clickhouse=clickhouse)
    anna, bert, before = "external_id:anna", "external_id:bert", "anonymous_id:x"
    async with reads(settings) as api:
        home = {"workspace": WORKSPACE, "environment": ENVIRONMENT}
        total = TypedColumn(id=f"{ENVIRONMENT}.total", property="total", type="number", created_ms=1, **home)
        await api._writer.stop()
        api._writer = Writer(settings, {(WORKSPACE, ENVIRONMENT): {"total": total}})
        await api._writer.start()
        sent = [fact("sent", anna, "m1"), fact("sent", bert, "m2")]
        await api.store(EVENTS, *sent, fact("delivered", anna, "m1"), fact("delivered", bert, "m2"))
        await api.store(EVENTS, sent[0], fact("opened", before, "m1", 2), fact("clicked", before, "m1", 3))
        await api.store(EVENTS, order(before, "o1", 1, 10.5), order(anna, "o2", 2, 4.5), order(bert, "o3", 8, 99))
        await api.store(OVERRIDES, merged(before, anna, 1, NOW_MS))
        await api.store(CONTACTS, contact(anna, email="anna@x.io"), contact(bert))
        entered = {**member(bert, "seg_1", 1), "at_ms": NOW_MS}
        left = {**member(bert, "seg_1", 2, is_member=False), "at_ms": NOW_MS + DAY}
        joined = {**member(anna, "seg_1", 1), "at_ms": NOW_MS + DAY}
        also = [{**member(who, "seg_2", 3), "at_ms": NOW_MS} for who in (anna, bert)]
        await api.store(MEMBERSHIP_CHANGES, entered, left, joined, *also)
        yield api


def when(days: int) -> datetime:
    return datetime.fromtimestamp(NOW_MS / 1000 + days * 86_400, UTC)


EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "revenue by day": [(when(1).date(), 10.5), (when(2).date(), 4.5), (when(8).date(), 99.0)],
    "funnel": [(2, 2, 1, 1, 0.5)],
    "conversion by segment": [("seg_1", 1, 1, 15.0), ("seg_2", 2, 1, 15.0)],
    "contacts now": [(ANNA, "anna@x.io", when(1))],
    "contacts then": [(BERT, when(0))],
    "opens by hour": [((when(0).hour + 2) % 24, 1)],
}


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_answers_its_question(api: ReadPipeline, name: str) -> None:
    sql = EXAMPLES[name].replace("headwater.", f"{api.settings.clickhouse_database}.")
    query = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "campaign": "cmp_1", "segment": "seg_1"}
    rows = await api.rows(sql, **query, then=when(0))
    assert [tuple(v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for v in row) for row in rows] == EXPECTED[
        name
    ]


def test_every_example_has_a_name_and_an_answer() -> None:
    assert EXAMPLES.keys() == EXPECTED.keys()
    assert README.read_text().count("```sql") == len(EXAMPLES)
