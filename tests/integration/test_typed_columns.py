"""A property becomes a typed column on a real engine: for new and earlier events, and in no other environment."""

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.control.control_state import ControlState, TypedColumn, encode
from schemas.records.records import Event
from schemas.rules.sql_values import Parameters
from schemas.settings import Settings
from schemas.times import iso
from schemas.typed.sql import columns_of
from schemas.typed.values import COLUMNS, values_of
from sinks.clickhouse.rows import EVENTS
from sinks.clickhouse.writer import Writer
from sinks.maintenance.typed_columns import TypedColumnKeeper
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, event
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        "true",
        "false",
        "True",
        "",
        " ",
        "x",
        "12.5",
        "-0",
        "+7",
        ".5",
        "1e3",
        "1e999",
        "0x1f",
        "1_0",
    ),
    *(0, -0.0, 5, -5, 12.5, 1e300, 2**53 + 1, 2**63 - 1, 2**64 - 1, -(2**63), "9" * 30, "٣", "1" * 401),
    *(1_700_000_000, 1_700_000_000_123, 1_700_000_000.5, -3_000_000_000_000, 20_000_000_000_000),
    *("2026-05-01", "2026-05-01T09:00:00Z", "2026-05-01T09:00:00.1234+02:00", "2026-02-30", "1899-12-31", "1900-01-01"),
    *("2299-12-31T23:59:59.999Z", "2300-01-01", "9999-12-31", "now", "12:00", "a'b\\c\n\0\u2028", "Zoë 🚲"),
    *([], [1], {}, {"b": 1}),
)
NAMES = ("p", "a.b", "o'c\\n", "deep.er.one", "a..b", "Größe", "?x{y:String}")
TYPED = [(name, kind) for name in sorted(NAMES) for kind in COLUMNS]


def documents() -> Iterator[dict[str, Any]]:
    for value in VALUES:
        yield dict.fromkeys(NAMES, value)
        yield {"a": {"b": value}, "deep": {"er.one": value, "er": {"one": "no"}}, "p": [value]}
        yield {"a.b": value, "a": {"b": "no"}, "deep": {"er": {"one": value}}, "deep.er.one": None}


def defined(name: str, kind: Any, environment: str = ENVIRONMENT, created_ms: int = NOW_MS) -> TypedColumn:
    return TypedColumn(
        id=f"{environment}.{name}",
        workspace=WORKSPACE,
        environment=environment,
        property=name,
        type=kind,
        created_ms=created_ms,
    )


def order(name: str, properties: dict[str, Any], **more: Any) -> Event:
    return event("external_id:u1", event_id=name, properties=properties, **more)


async def maps(api: ReadPipeline) -> dict[str, tuple[Any, ...]]:
    rows = await api.rows("SELECT event_id, strings, numbers, booleans, times FROM events_resolved")
    return {name: tuple(columns) for name, *columns in rows}


async def test_sink_and_sql_read_each_property_alike(settings: Settings) -> None:
    async with reads(settings) as api:
        await api.store(EVENTS, *(order(f"e{n}", document) for n, document in enumerate(documents())))
        for kind, column in COLUMNS.items():
            typed = [pair for pair in TYPED if pair[1] == kind]
            parameters = Parameters()
            sql = columns_of(typed, parameters)[column]
            if kind == "time":
                sql = f"mapApply((k, v) -> (k, toUnixTimestamp64Milli(assumeNotNull(v))), {sql})"
            rows = await api.rows(f"SELECT properties, {sql} FROM events FINAL", **parameters.values)
            assert len(rows) == 3 * len(VALUES)
            differ = {
                text: (values_of(text.encode(), typed)[column], columns)
                for text, columns in rows
                if values_of(text.encode(), typed)[column] != columns
            }
            assert differ == {}, kind
            assert sum(len(columns) for _, columns in rows) > 20, "values that fit are there"


async def test_events_of_before_and_after_have_it_and_no_others(settings: Settings) -> None:
    state = ControlState()
    keeper = TypedColumnKeeper(settings, state)
    at = {"sent": iso(NOW_MS), "total": 12.5, "plan": "pro", "gift": True, "ship": {"zip": "10115"}}
    async with reads(settings) as api:
        elsewhere: Event = {**order("theirs", at), "workspace": "elsewhere"}
        await api.store(EVENTS, order("before", at), {**order("staging", at), "environment": "staging"}, elsewhere)
        for name, kind in (("total", "number"), ("plan", "string"), ("gift", "boolean"), ("sent", "time")):
            column = defined(name, kind)
            state.apply(*encode("typed_column", column))
            await api.define("typed_column", column)
        await keeper.keep(api._client, grace_s=3600)
        listed = await api.get("/v1/typed-columns")
        assert {row["status"] for row in listed["data"]} == {"filling"}, "a change is waited on for a while"

        api._writer = await _writer(api, settings, state)
        await api.store(EVENTS, order("after", at), {**order("staging too", at), "environment": "staging"})
        await api.store(EVENTS, order("other", {"total": "no", "plan": None}))
        await keeper.keep(api._client, grace_s=0)
        result = await maps(api)
        assert result["before"] == result["after"]
        strings, numbers, booleans, times = result["before"]
        assert (strings, numbers, booleans) == ({"plan": "pro"}, {"total": 12.5}, {"gift": True})
        assert [int(time.timestamp() * 1000) for time in times.values()] == [NOW_MS]
        assert all(result[name] == ({}, {}, {}, {}) for name in ("staging", "staging too", "theirs", "other"))
        total = (
            "SELECT sum(numbers['total']), countIf(numbers['total'] IS NULL), sum(numbers['nothing']) FROM events FINAL"
        )
        assert await api.rows(total) == [(25, 4, None)]
        listed = await api.get("/v1/typed-columns", limit=3)
        assert [row["column"] for row in listed["data"]] == ["booleans['gift']", "strings['plan']", "times['sent']"]
        assert {row["status"] for row in listed["data"]} == {"ready"}
        following = await api.get("/v1/typed-columns", cursor=listed["next_cursor"] or "none")
        assert [row["property"] for row in following["data"]] == ["total"]
        assert (await api.get("/v1/typed-columns/total"))["status"] == "ready"

        # another type, another property, and a removed one
        for column in (
            defined("total", "string", created_ms=NOW_MS + 1),
            defined("ship.zip", "number"),
            defined("plan", "string").model_copy(update={"deleted": True}),
        ):
            state.apply(*encode("typed_column", column))
            await api.define("typed_column", column)
        assert (await api.get("/v1/typed-columns/total"))["status"] == "filling"
        await keeper.keep(api._client, grace_s=0)
        strings, numbers, _, _ = (await maps(api))["before"]
        assert (strings, numbers) == ({}, {"ship.zip": 10115.0}), "a number that is no whole one is no text"
        await api.get("/v1/typed-columns/plan", 404)
        noted = "SELECT property, deleted FROM typed_columns FINAL ORDER BY property"
        assert await api.rows(noted) == [("gift", 0), ("plan", 1), ("sent", 0), ("ship.zip", 0), ("total", 0)]
        for name in ("total", "gift", "sent", "ship.zip"):
            state.apply(*encode("typed_column", defined(name, "string").model_copy(update={"deleted": True})))
        assert state.typed_columns == {}
        await keeper.keep(api._client, grace_s=0)
        assert all(item == ({}, {}, {}, {}) for item in (await maps(api)).values())


async def _writer(api: ReadPipeline, settings: Settings, state: ControlState) -> Writer:
    """A sink that knows the definitions replaces one that does not."""
    await api._writer.stop()
    writer = Writer(settings, state.typed_columns)
    await writer.start()
    return writer
