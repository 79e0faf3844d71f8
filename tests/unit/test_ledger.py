"""What the ledger counts by: the events of records, their outcomes, and the ranges that may be asked for."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from schemas import topics
from schemas.errors import ApiError
from schemas.record_batches import MOST_ORIGINS, ORIGINS, Headers, origins_header
from schemas.records import codec, outcomes
from schemas.records.codec import UndecodableError
from schemas.records.records import Quarantined
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, iso
from sinks.ledger.accepted import Run, rows_of
from sinks.ledger.balance import Balance
from sinks.read_api.control import ledger
from tests.support.builders import NOW_MS, event


def record(offset: int, value: bytes | None, headers: Headers = ()) -> Any:
    return SimpleNamespace(offset=offset, value=value, headers=headers)


def quarantined(topic: str, payload: bytes, index: int = -1) -> Quarantined:
    return Quarantined(
        topic=topic,
        partition=2,
        offset=7,
        index=index,
        workspace="",
        event_id="",
        reason="x",
        detail="",
        at_ms=NOW_MS,
        key=b"",
        payload=payload,
    )


@pytest.mark.parametrize("text", ["", "x", "x" * 63, "x" * 64, "é" * 5000, "x" * 300_000])
def test_skimming_says_of_events_what_reading_them_says(text: str) -> None:
    events = [
        event("external_id:u1", "anonymous_id:a1", event_id="evt_1", source=text, properties={"a": text}),
        event(event_id="", context=text.encode(), received_ms=-1, repeat=2, origin_offset=1 << 40),
    ]
    value = codec.encode_events(events)
    names = ("workspace", "environment", "source", "received_ms")
    assert [dict(event) for event in codec.skim_events(value)] == [{n: event[n] for n in names} for event in events]  # type: ignore[literal-required]


@pytest.mark.parametrize("cut", [1, 9, 11, 30, 80, -1])
def test_skimming_refuses_what_is_cut_off(cut: int) -> None:
    value = codec.encode_events([event("external_id:u1", "anonymous_id:a1")])
    for bad in (value[:cut], value + b"\0"):
        with pytest.raises(UndecodableError):
            codec.skim_events(bad)


def test_a_run_counts_by_tenant_source_and_minute_of_receipt() -> None:
    run = Run(5, 5)
    run.add(record(5, codec.encode_events([event(event_id=str(n)) for n in range(3)])))
    run.add(record(6, b"no record of ours"))
    run.add(record(7, None))
    later = event(received_ms=NOW_MS + MINUTE_MS, source="segment")
    run.add(record(8, codec.encode_events([event(environment="staging"), later])))
    minute = NOW_MS // MINUTE_MS * 60
    assert sorted(rows_of({3: run})) == [
        ("local", "production", minute, "altacee", 3, 3, 5, 8),
        ("local", "production", minute + 60, "segment", 1, 3, 5, 8),
        ("local", "staging", minute, "altacee", 1, 3, 5, 8),
    ]


def test_a_header_counts_as_its_record_does() -> None:
    events = [event(event_id=str(n), environment=("staging", "production")[n % 3 > 0]) for n in range(12)]
    value = codec.encode_events(events)
    origins = Counter((e["workspace"], e["environment"], e["source"], e["received_ms"] // MINUTE_MS) for e in events)
    read, told = Run(1, 1), Run(1, 1)
    read.add(record(2, value))
    told.add(record(2, b"is not read", [("traceparent", b"x"), *origins_header(origins)]))
    assert told == read
    assert sum(told.events.values()) == 12


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"{}", b"[1]", b"[[]]", b'[["w","e","s",1.5,9]]', b'[["w","e","s",1,true]]', b'[["w","e","s",1]]'],
)
def test_a_malformed_header_has_its_record_read(value: bytes) -> None:
    run = Run(1, 1)
    run.add(record(2, codec.encode_events([event()]), [(ORIGINS, value)]))
    assert sum(run.events.values()) == 1


def test_many_origins_take_no_header() -> None:
    assert origins_header({("w", "e", "s", minute): 1 for minute in range(MOST_ORIGINS)})
    assert not origins_header({("w", "e", "s", minute): 1 for minute in range(MOST_ORIGINS + 1)})


def test_a_suppressed_event_is_known_by_its_place_alone() -> None:
    made_event = event("email:a@b.example", event_id="evt_secret", properties={"total": 1})
    change = outcomes.suppressed(made_event, (1, 2, 3))
    [read] = codec.decode_changes(codec.encode_changes([change]))
    assert outcomes.of_change(read) == outcomes.outcome_of(made_event, "suppressed", (1, 2, 3))
    value = codec.encode_changes([change])
    assert not any(
        text in value for text in (b"a@b.example", b"evt_secret", b"total", made_event["contact_id"].encode())
    )


@pytest.mark.parametrize("profile", [b"", b"[]", b'{"source": "x"}', b'{"source": "x", "origin": [1, 2]}', b"{"])
def test_a_suppressed_event_without_its_place_is_refused(profile: bytes) -> None:
    change = outcomes.suppressed(event(), (1, 2, 3))
    change["profile"] = profile
    with pytest.raises(ValueError, match="place"):
        outcomes.of_change(change)


def test_a_whole_record_in_quarantine_counts_each_of_its_events() -> None:
    payload = codec.encode_events([event(event_id="a"), event(event_id="b", environment="staging")])
    rows = outcomes.of_quarantined(quarantined(f"prefix.{topics.EVENTS.name}", payload))
    places = [(row["environment"], row["origin_partition"], row["origin_offset"], row["origin_index"]) for row in rows]
    assert places == [("production", 2, 7, 0), ("staging", 2, 7, 1)]
    assert {row["outcome"] for row in rows} == {"quarantined"}


def test_one_event_in_quarantine_has_the_place_that_it_had_on_events() -> None:
    made_event = event(origin_partition=1, origin_offset=9, origin_index=4)
    payload = codec.encode_events([made_event])
    [alone] = outcomes.of_quarantined(quarantined(topics.EVENTS.name, payload, index=3))
    [resolved] = outcomes.of_quarantined(quarantined(topics.RESOLVED.name, payload, index=0))
    assert (alone["origin_partition"], alone["origin_offset"], alone["origin_index"]) == (2, 7, 3)
    assert (resolved["origin_partition"], resolved["origin_offset"], resolved["origin_index"]) == (1, 9, 4)


@pytest.mark.parametrize("topic", [topics.LINKS.name, topics.CHANGES.name, topics.EVENTS.name])
def test_what_holds_no_events_has_no_outcome(topic: str) -> None:
    assert outcomes.of_quarantined(quarantined(topic, b"no record of ours")) == []


def test_times_that_are_none_stay_within_the_columns() -> None:
    for at_ms in (-(1 << 60), 1 << 60):
        result = outcomes.outcome_of(event(received_ms=at_ms), "suppressed", (0, 0, 0))
        assert 0 <= result["received_ms"] <= outcomes.LATEST_MS


def test_the_residual_has_a_sign() -> None:
    assert Balance(accepted=5, stored=1, duplicate=1, quarantined=1, suppressed=1).residual == 1
    assert Balance(stored=2).residual == -2


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": iso(NOW_MS - 31 * DAY_MS), "to": iso(NOW_MS - 30 * DAY_MS)}, "from"),
        ({"from": iso(NOW_MS - 365 * DAY_MS)}, "from"),
        ({"from": iso(NOW_MS - 25 * HOUR_MS), "to": iso(NOW_MS)}, "from"),
        ({"from": iso(NOW_MS), "to": iso(NOW_MS)}, "to"),
        ({"from": iso(NOW_MS), "to": iso(NOW_MS - 1000)}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"to": "9" * 15}, "to"),
        ({"to": "-1"}, "to"),
        ({"source": "nobody"}, "source"),
        ({"source": ""}, "source"),
        ({"source": "altacee' OR 1"}, "source"),
    ],
)
async def test_a_range_or_source_that_is_none_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        await ledger.ledger(None, None, query, NOW_MS)  # type: ignore[arg-type]  # it asks nobody
    assert (refused.value.status, refused.value.param) == (422, param)
