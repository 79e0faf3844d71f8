"""Bodies that are not JSON: sound neighbours are kept, and the cost follows the size, whatever the text holds."""

import gzip
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.http import body
from ingest.http.json_recovery import MAX_DIAGNOSED, MAX_ITEMS, NotJson
from schemas.errors import ApiError
from tests.support.edge import PUBLIC, MemoryLog, client_of, memory_edge

WORST: dict[str, Callable[[int], bytes]] = {
    "an unterminated string of escaped quotes": lambda n: b'{"batch":["' + b'\\"' * (n // 2),
    "the same, cut within an escape": lambda n: b'{"batch":["' + b'\\"' * (n // 2) + b"\\",
    "quotes that open and never pair": lambda n: b'{"batch":[' + b'"\\' * (n // 2),
    "opening brackets": lambda n: b'{"batch":[' + b"[" * n,
    "opening braces": lambda n: b'{"batch":[' + b'{"a":' * (n // 5),
    "items that each begin an object": lambda n: b'{"batch":[' + b'{"a":1,' * (n // 7),
    "items that are words": lambda n: b"[" + b"x," * (n // 2) + b"x]",
    "one sound item after the other, then rubbish": lambda n: b"[" + b'{"a":"b"},' * (n // 10) + b"\x00",
    "broken items behind a long one": lambda n: b'["' + b"a" * (20 * n) + b'",' + b"{x}," * min(n // 40, 9_000) + b"x]",
    "a key that is repeated before the batch": lambda n: b"{" + b'"batch":1,' * (n // 10),
    "numbers too large": lambda n: b"[" + (b"1" * 4000 + b"e999,") * (n // 4005) + b"NaN]",
    "white space": lambda n: b"[" + b" " * n + b"NaN",
    "colons": lambda n: b'{"batch"' + b":" * n,
}


def _cost(data: bytes) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        try:
            value = body.parse_batch(data, "batch")
            if isinstance(value, NotJson):
                value.text_field(("api_key", "token"))
                value.recover()
        except ApiError:
            pass
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("worst", WORST.values(), ids=WORST)
def test_the_cost_is_linear_in_the_size(worst: Callable[[int], bytes]) -> None:
    small, large = _cost(worst(200_000)), _cost(worst(400_000))
    # quadratic work at these sizes takes minutes; a few milliseconds are the timer's
    assert large < 3 * small + 0.05
    assert large < 1.0


def test_a_broken_item_costs_only_itself_in_a_batch_of_five_megabytes() -> None:
    sound = b'{"type":"t","properties":{"text":"' + b"x" * 400 + b'","numbers":[1,2.5,{"a":null}]}}'
    items = [sound] * 5000
    items[17] = b'{"type":NaN}'
    items[4000] = b'{"type":"\\ud800"}'
    start = time.process_time()
    value = body.parse_batch(b'{"sentAt":1,"batch":[' + b",".join(items) + b'],"context":{}}', "batch")
    assert isinstance(value, NotJson)
    result = value.recover()
    assert time.process_time() - start < 5
    broken = {i: item for i, item in enumerate(result["batch"]) if isinstance(item, ApiError)}
    assert {i: item.param for i, item in broken.items()} == {17: "type", 4000: "type"}
    assert len(result["batch"]) == 5000
    assert result["sentAt"] == 1


def test_only_the_first_faults_are_named_by_their_path() -> None:
    value = body.parse_batch(b"[" + b",".join([b'{"a":NaN}'] * 100) + b"]", "batch")
    assert isinstance(value, NotJson)
    result = value.recover()
    assert [item.param for item in result] == ["a"] * MAX_DIAGNOSED + [None] * (100 - MAX_DIAGNOSED)


def test_more_broken_items_than_a_batch_may_hold_are_refused_as_too_many() -> None:
    value = body.parse_batch(b"[" + b"x," * (MAX_ITEMS + 1) + b"x]", "batch")
    assert isinstance(value, NotJson)
    with pytest.raises(ApiError) as refused:
        value.recover()
    assert refused.value.code == "too_many"


@pytest.mark.parametrize("path", ["/batch/", "/capture/", "/e/", "/v1/batch", "/v1/import"])
async def test_a_broken_body_without_a_key_is_refused_before_it_is_cut_up(path: str, tmp_path: Path) -> None:
    attack = gzip.compress(b'{"batch":["' + b'\\"' * 2_000_000)
    edge = memory_edge(tmp_path, MemoryLog())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with client_of(edge) as client:
        start = time.process_time()
        answer = await client.post(path, content=attack, headers=headers)
        spent = time.process_time() - start
    assert answer.status_code == 400
    assert spent < 1


async def test_a_key_in_a_broken_body_is_found_and_its_sound_events_are_stored(tmp_path: Path) -> None:
    log = MemoryLog()
    text = b'{"api_key" : "pk_dev_local","batch":[{"event":"a","distinct_id":"u1"},{"event":"b","distinct_id":NaN}]}'
    async with client_of(memory_edge(tmp_path, log)) as client:
        answer = await client.post("/batch/", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["attr"] == "batch[1].distinct_id"
    assert [event["type"] for event in log.events] == ["a"]


async def test_the_attack_with_a_key_ends_in_a_refusal(tmp_path: Path) -> None:
    attack = b'{"events":["' + b'\\"' * 2_000_000
    async with client_of(memory_edge(tmp_path, MemoryLog())) as client:
        start = time.process_time()
        answer = await client.post("/v1/events/batch", content=attack, headers=PUBLIC)
        assert time.process_time() - start < 1
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
