"""Columns from records: every column of a table, in its order, and what no row can be made of."""

from typing import Any

import orjson
import pytest

from sinks.clickhouse.outcome_rows import OUTCOMES, passed_over
from sinks.clickhouse.rows import CONTACTS, PLACE, Item, UnusableError, fill
from sinks.clickhouse.streams import STREAMS
from tests.support.builders import NOW_MS, event, ident, link
from tests.support.sink_pipeline import change


def contact_row(profile: Any, **more: Any) -> dict[str, Any]:
    raw = profile if isinstance(profile, bytes) else orjson.dumps(profile)
    columns = fill(CONTACTS, "changes", [Item(2, 5, 1, change("cnt_1", "profile", 7, profile=raw, **more))])
    return {name: column[0] for name, column in zip([*CONTACTS.columns, *PLACE], columns, strict=True)}


TABLES = [table for stream in STREAMS for table in stream.tables if table is not OUTCOMES]


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.name)
def test_a_table_gets_a_value_for_every_column(table: Any) -> None:
    stream = next(s for s in STREAMS if table in s.tables)
    data = stream.decode(stream.encode(sample(stream.topic.name, table.name)))
    columns = fill(table, "topic", [Item(1, 2, 3, datum) for datum in data * 2])
    assert [len(column) for column in columns] == [2] * len([*table.columns, *PLACE])
    assert [column[0] for column in columns[-4:]] == ["topic", 1, 2, 3]


def test_an_event_that_was_passed_over_keeps_its_place_on_events() -> None:
    made_event = event("external_id:u1", origin_partition=4, origin_offset=5, origin_index=6)
    [(table, items)] = passed_over([Item(1, 2, 3, made_event)]).items()
    columns = fill(table, "topic", items)
    row = {name: column[0] for name, column in zip([*table.columns, *PLACE], columns, strict=True)}
    assert row.pop("received_at") == NOW_MS
    assert list(row.values()) == ["local", "production", "altacee", "suppressed", 4, 5, 6, "topic", 1, 2, 3]


def sample(topic: str, table: str) -> Any:
    if table == "consent_changes":
        return change("cnt_1", "consent", 1, profile=orjson.dumps({"consent": "sms", "value": True}))
    common = {"workspace": "w", "environment": "e", "event_id": "evt_1", "at_ms": NOW_MS}
    return {
        "resolved": event("external_id:u1"),
        "changes": change("cnt_1", "refused", 1, profile=orjson.dumps(ident("email:a@b.c")), reason="r")
        if table == "refused_links"
        else change("cnt_1", "profile", 1),
        "links": link("external_id:u1", "email:a@b.c"),
        "merges": {**common, "loser": "a", "winner": "b", "version": 1, "identifier": ident("email:a@b.c")},
        "attempts": {**common, "id": "dlv_1_1_a", "delivery_id": "dlv_1", "webhook_id": "whk_1"},
        "quarantine": {
            **common,
            "topic": "t",
            "partition": 0,
            "offset": 1,
            "index": 2,
            "reason": "r",
            "detail": "d",
            "key": b"",
            "payload": b"\xff",
        },
    }[topic]


def test_a_snapshot_says_which_of_several_to_show() -> None:
    identifiers = [
        ident(i) for i in ("external_id:u", "email:a@b.c", "email:z@b.c", "anonymous_id:x", "anonymous_id:y")
    ]
    row = contact_row({"email": "z@b.c", "phone": None, "identifiers": identifiers, "created_ms": 1, "updated_ms": 2})
    assert (row["email"], row["phone"], row["external_id"]) == ("z@b.c", "", "u")
    assert row["anonymous_ids"] == ["x", "y"]
    assert (row["created_at"], row["updated_at"], row["version"]) == (1, 2, 7)
    assert row["_offset"] == 5


def test_an_empty_snapshot_is_a_row() -> None:
    row = contact_row(b"", merged_into="cnt_2")
    assert (row["merged_into"], row["attributes"], row["devices"]) == ("cnt_2", b"{}", b"[]")
    assert row["created_at"] == NOW_MS


@pytest.mark.parametrize(
    "profile",
    [
        b"{",
        [],
        {"attributes": []},
        {"created_ms": "1"},
        {"email": 1},
        {"identifiers": 1},
        {"identifiers": [1]},
        {"identifiers": [{"type": "email"}]},
        {"identifiers": [{"type": "email", "value": 1}]},
    ],
)
def test_a_snapshot_of_another_shape_is_unusable(profile: Any) -> None:
    with pytest.raises(UnusableError):
        contact_row(profile)
