"""Live memberships and the same rules as SQL, on a real engine, are one: messy data, all forms, merges, late events."""

from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from schemas import topics
from schemas.records import codec
from schemas.records.records import Change, Event, Merge
from schemas.rules import parse, rule_tree, sql
from sinks.clickhouse.rows import CONTACTS, EVENTS, OVERRIDES, Item, Table
from sinks.clickhouse.writer import Writer
from sinks.maintenance.migrate import migrate
from tests.property.world_segments import ENVIRONMENT, HOUR, WORKSPACE, SegmentsWorld, contact_of, merge
from tests.support.generated_contacts import LISTS, Generated
from tests.support.services import fresh_settings

pytestmark = pytest.mark.clickhouse

CONTACTS_COUNT, EVENTS_COUNT, RULES_COUNT, CHUNKS = 500, 20_000, 60, 20


def lived() -> tuple[SegmentsWorld, dict[str, Any], list[Event], list[Merge]]:
    """Five days of events in chunks, some sent twice, some contacts merged on the way."""
    made = Generated(seed=7, contacts=CONTACTS_COUNT)
    rules: dict[str, Any] = {}
    for n in range(RULES_COUNT):
        rules[f"s{n:02}"] = made.rule(list(rules))
    world = SegmentsWorld(**rules)
    for name, values in LISTS.items():
        world.enlist(name, *values)
    world.follow()
    events: list[Event] = []
    merges: list[Merge] = []
    for chunk in range(CHUNKS):
        fresh = [made.event(world.now) for _ in range(EVENTS_COUNT // CHUNKS)]
        world.send(*fresh, *events[-50:])
        events += fresh
        if chunk % 3 == 1:
            number = chunk * 10
            made_merge = merge(("anonymous_id", f"u{number}"), ("external_id", f"u{number + 1}"), at=world.now)
            merges.append(made_merge)
            world.merge(made_merge)
        world.pass_time(6 * HOUR)
    return world, rules, events, merges


async def insert(writer: Writer, table: Table, data: list[Any]) -> None:
    await writer.prepare(table)
    await writer.insert(table, "test", [Item(0, n, 0, datum) for n, datum in enumerate(data)])


def profiles(world: SegmentsWorld) -> list[Change]:
    batches = [codec.decode_changes(s.value) for s in world.sends if s.topic == topics.CHANGES.name]
    return [change for batch in batches for change in batch if change["kind"] == "profile"]


async def test_live_memberships_are_those_of_the_rules_in_sql(clickhouse: str, tmp_path: Path) -> None:
    world, rules, events, merges = lived()
    settings = fresh_settings(tmp_path, clickhouse=clickhouse)
    await migrate(settings)
    writer = Writer(settings)
    await writer.start()
    try:
        await insert(writer, EVENTS, list(codec.decode_events(codec.encode_events(events))))
        await insert(writer, OVERRIDES, merges)
        await insert(writer, CONTACTS, profiles(world))
    finally:
        await writer.stop()
    client = await clickhouse_connect.get_async_client(dsn=settings.clickhouse, database=settings.clickhouse_database)
    everybody = {key for key, _ in world.rows()}
    live = {name: {contact for contact, segment in world.members() if segment == name} for name in rules}
    lists = world.control.rules_and_lists((WORKSPACE, ENVIRONMENT))[1]
    parsed = {name: parse.parse(value) for name, value in rules.items()}
    telling = 0
    differences = {}
    try:
        for name, tree in parsed.items():
            query = sql.members(rule_tree.expand(tree, parsed.get, (name,), lists), WORKSPACE, ENVIRONMENT, world.now)
            matching = {row[0] for row in (await client.query(query.sql, parameters=query.parameters)).result_rows}
            if matching != live[name]:
                differences[name] = (rules[name], len(matching - live[name]), len(live[name] - matching))
            telling += 0 < len(matching) < len(everybody) - len(merges)
    finally:
        await client.close()
    assert differences == {}
    assert telling > RULES_COUNT // 2
    assert contact_of("external_id", "u11") in everybody
