"""What analysts read: views, comments, and every question of `/docs/questions` with its answer, on a real engine."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import pytest_asyncio

from ingest import doc_pages
from schemas.control.control_state import Campaign, ControlState
from schemas.records.bot_detection import IS_MACHINE
from schemas.records.records import Change, Event
from sinks.clickhouse.consent_rows import CONSENT_CHANGES
from sinks.clickhouse.rows import CONTACTS, EVENTS, MEMBERSHIP_CHANGES, OVERRIDES
from sinks.definitions.keeper import keep_event_types, keep_names
from sinks.maintenance.migrate import migrations
from tests.integration.contact_rows import contact, defined, member
from tests.integration.test_campaigns import merged
from tests.support.builders import ENVIRONMENT, WORKSPACE, cid, event
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, change, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

QUESTIONS: dict[str, str] = dict(re.findall(r"```sql\n-- ([^\n]+)\n(.*?)```", doc_pages.source("questions"), re.DOTALL))
HOME = {"workspace": WORKSPACE, "environment": ENVIRONMENT}
ANN, BEN, CAT = (f"external_id:{name}" for name in ("ann", "ben", "cat"))
GUEST = "anonymous_id:guest"
"""Ann, before she signed in."""
A, B, C = cid(ANN), cid(BEN), cid(CAT)


def at(month: int, day: int, hour: int = 0) -> int:
    """Of 2026, epoch milliseconds."""
    return int(moment(month, day, hour).timestamp() * 1000)


def moment(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def did(who: str, named: str, when: int, total: float = 0, **more: Any) -> Event:
    properties = {"total": total} if total else {}
    fields: dict[str, Any] = {"properties": properties, **more}
    return event(who, event_id=f"{named}{who}{when}", type=named, timestamp_ms=when, received_ms=when, **fields)


def mail(who: str, kind: str, message: str, variant: str, **properties: Any) -> Event:
    more: dict[str, Any] = {"campaign_id": "cmp_1", "message_id": message, "variant": variant, "properties": properties}
    return did(who, f"message.{kind}", at(3, 1), **more)


def stay(who: str, when: int, known_at: int, *, is_member: bool, segment: str = "seg_1") -> Change:
    return {**member(who, segment, known_at * 1024, is_member=is_member), "at_ms": when}


def consents(who: str, name: str, when: int, value: str) -> Change:
    payload = f'{{"consent": "{name}", "value": {value}, "key": "{when}"}}'.encode()
    return {**change(cid(who), "consent", 0, event_id=f"evt_{when}", profile=payload), "at_ms": when}


EVENTS_SENT = [
    did(GUEST, "price_viewed", at(1, 30)),
    did(ANN, "product_added", at(1, 31)),
    did(ANN, "order_completed", at(1, 31, 23), 100.5),  # February in Berlin
    did(ANN, "order_completed", at(2, 10), 50),
    did(ANN, "order_completed", at(4, 1), 9.5),
    did(BEN, "price_viewed", at(2, 1)),
    did(BEN, "product_added", at(2, 2)),
    did(BEN, "order_completed", at(2, 20), 20),  # later than a week
    did(CAT, "price_viewed", at(2, 1)),
    did(CAT, "$identify", at(6, 1), kind="identify"),
    *(mail(who, kind, f"m{who}", "a" if who == ANN else "b") for who in (ANN, BEN) for kind in ("sent", "delivered")),
    mail(ANN, "opened", f"m{ANN}", "a", user_agent="Mozilla/5.0"),
    mail(BEN, "opened", f"m{BEN}", "b", user_agent="Mozilla/5.0"),
    mail(BEN, "opened", f"m{BEN}", "b", user_agent="Firefox/130"),
    mail(BEN, "clicked", f"m{BEN}", "b"),
]
MEMBERSHIPS = [
    stay(ANN, at(3, 2), at(3, 9), is_member=True),
    stay(ANN, at(3, 2), at(3, 9) + 1, is_member=True),  # said again after a crash
    stay(ANN, at(3, 4, 12), at(3, 9) + 2, is_member=False),
    stay(ANN, at(3, 6), at(3, 9) + 3, is_member=True),
    stay(BEN, at(3, 3), at(3, 3), is_member=True),
    stay(CAT, at(2, 1), at(2, 1), is_member=True, segment="seg_gone"),
]


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    settings = fresh_settings(tmp_path_factory.mktemp("views"), kafka=kafka, clickhouse=clickhouse)
    state = ControlState()
    times = {"created_ms": at(1, 1), "updated_ms": at(1, 1)}
    spring = Campaign(**HOME, **times, id="cmp_1", name="Spring", channel="email", status="sent", number=1)
    state.campaigns[WORKSPACE, ENVIRONMENT]["cmp_1"] = spring
    state.segments[WORKSPACE, ENVIRONMENT] |= {name: defined(name) for name in ("seg_1", "seg_gone")}
    async with reads(settings) as api:
        await api.store(EVENTS, *EVENTS_SENT[:9])
        await api.store(EVENTS, *EVENTS_SENT)
        await api.store(EVENTS, {**did(CAT, "order_completed", at(2, 2), 1000), "workspace": "elsewhere"})
        await api.store(OVERRIDES, merged(GUEST, ANN, 1, at(1, 31)))
        yes: dict[str, Any] = {"consents": {"email_marketing": True}}
        no: dict[str, Any] = {"consents": {"email_marketing": False, "sms": True}}
        await api.store(CONTACTS, contact(ANN, email="ann@x.io", **yes), contact(BEN, email="ben@x.io", **no))
        await api.store(CONTACTS, contact(CAT), contact(GUEST, into=A, **yes))
        statements = (
            consents(GUEST, "email_marketing", at(1, 5), "false"),
            consents(ANN, "email_marketing", at(2, 5), "true"),
            consents(BEN, "email_marketing", at(2, 6), "false"),
        )
        await api.store(CONSENT_CHANGES, *statements)
        await api.store(MEMBERSHIP_CHANGES, *MEMBERSHIPS)
        await keep_names(api._client, state)
        del state.segments[WORKSPACE, ENVIRONMENT]["seg_gone"]
        await keep_names(api._client, state)
        await keep_event_types(api._client, api._client.database)
        yield api


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "revenue by month": [(date(2026, 2, 1), 3, 170.5), (date(2026, 4, 1), 1, 9.5)],
    "best customers": [(A, "ann@x.io", 3, 160.0), (B, "ben@x.io", 1, 20.0)],
    "from prices to order": [(3, 2, 1)],
    "campaigns": [("cmp_1", "Spring", 2, 2, 1, 1, 1, 0.5)],
    "variants": [("b", 1, 1, 1.0), ("a", 1, 0, 0.0)],
    "entered": [
        (A, moment(3, 2), "event", moment(3, 4, 12)),
        (B, moment(3, 3), "event", None),
        (A, moment(3, 6), "event", None),
    ],
    "size by day": [(date(2026, 3, day), size) for day, size in ((1, 0), (2, 1), (3, 2), (4, 1), (5, 1), (6, 2))],
    "cohorts": [
        (date(2026, 1, 1), 0, 1),
        (date(2026, 1, 1), 1, 1),
        (date(2026, 1, 1), 3, 1),
        (date(2026, 2, 1), 0, 1),
    ],
    "may be sent mail": [("named seg_1", 2, 2, 1)],
    "gone silent": [
        ("price_viewed", moment(1, 30), moment(2, 1)),
        ("product_added", moment(1, 31), moment(2, 2)),
    ],
}


def aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


@pytest.mark.parametrize("name", QUESTIONS)
async def test_a_question_has_its_answer(api: ReadPipeline, name: str) -> None:
    sql = QUESTIONS[name].replace("headwater.", f"{api.settings.clickhouse_database}.")
    query = {**HOME, "campaign": "cmp_1", "segment": "seg_1", "tz": "Europe/Berlin"}
    times = {"from": moment(3, 1), "to": moment(3, 7), "then": moment(2, 28)}
    rows = await api.rows(sql, **query, **{k: v.replace(tzinfo=None) for k, v in times.items()})
    assert [tuple(map(aware, row)) for row in rows] == ANSWERS[name]


def test_ten_questions_are_asked_and_each_is_answered() -> None:
    assert QUESTIONS.keys() == ANSWERS.keys()
    assert doc_pages.source("questions").count("```sql") == len(QUESTIONS) == 10


async def test_views_know_of_merges_deletions_and_what_was_known_when(api: ReadPipeline) -> None:
    assert await api.rows("SELECT contact_id FROM contacts_current ORDER BY contact_id") == sorted([(A,), (B,), (C,)])
    members = "SELECT contact_id, segment, email, since, known_since FROM members_current ORDER BY since"
    assert [tuple(map(aware, row)) for row in await api.rows(members)] == [
        (B, "named seg_1", "ben@x.io", moment(3, 3), moment(3, 3)),
        (A, "named seg_1", "ann@x.io", moment(3, 6), moment(3, 9).replace(microsecond=3000)),
    ]
    stays = (
        "SELECT entered_at, entered_known_at, left_at, left_known_at FROM membership_history"
        " WHERE segment_id = 'seg_1' AND contact_id = {who:String} ORDER BY entered_at"
    )
    moments = [moment(3, 9).replace(microsecond=1000 * n) for n in range(4)]
    assert [tuple(map(aware, row)) for row in await api.rows(stays, who=A)] == [
        (moment(3, 2), moments[0], moment(3, 4, 12), moments[2]),
        (moment(3, 6), moments[3], None, None),
    ]
    allowed = "SELECT contact_id, consent, given, said_at FROM consents_current ORDER BY said_at"
    assert [tuple(map(aware, row)) for row in await api.rows(allowed)] == [
        (B, "sms", 1, datetime.fromtimestamp(0, UTC)),
        (A, "email_marketing", 1, moment(2, 5)),
        (B, "email_marketing", 0, moment(2, 6)),
    ]


async def test_every_table_and_column_says_what_it_holds(api: ReadPipeline) -> None:
    ours = "database = currentDatabase() AND NOT startsWith({name}, '_')"
    tables = f"SELECT name FROM system.tables WHERE {ours.format(name='name')} AND comment = ''"
    columns = f"SELECT table, name FROM system.columns WHERE {ours.format(name='table')} AND comment = ''"
    assert await api.rows(tables) == []
    assert await api.rows(columns) == []


def test_the_view_of_messages_knows_the_machines_that_figures_know() -> None:
    """The file of `campaign_messages` has the list of machines as it is."""
    newest = [migration.text for migration in migrations() if "VIEW {database}.campaign_messages" in migration.text][-1]
    assert IS_MACHINE in newest
