"""When a delivery is attempted again, when an endpoint is left alone, and in which order a contact's messages go."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import deliveries
from schemas.records.deliveries import FAILED, PENDING, SUCCEEDED, WebhookDelivery
from sinks.delivery.backoff import JITTER, MAX_ATTEMPTS, WAITS_MS, AttemptOutcome, after, wait_ms
from sinks.delivery.breaker import FAILING, HEALTHY, OPENS_AFTER, PAUSES_MS, Breaker
from sinks.webhooks.queue import Entry, Queue
from tests.support.builders import NOW_MS

DAY_MS = 86_400_000


def delivery(**more: Any) -> WebhookDelivery:
    fields = dict.fromkeys(WebhookDelivery.__annotations__, "")
    row = {**fields, "id": "dlv_1", "seq": 1, "status": PENDING, "attempts": 0, "due_ms": NOW_MS, "updated_ms": NOW_MS}
    return {**row, "body": b"{}", **more}  # type: ignore[typeddict-item]  # all fields are there


def outcome(code: int) -> AttemptOutcome:
    return AttemptOutcome(code=code, error="" if code == 200 else "no", duration_ms=1)


@given(st.text(max_size=40), st.integers(1, MAX_ATTEMPTS - 1))
def test_a_wait_is_its_share_of_a_day_give_or_take_a_fifth(delivery_id: str, attempts: int) -> None:
    wait = wait_ms(delivery_id, attempts)
    assert (1 - JITTER) * WAITS_MS[attempts - 1] <= wait <= (1 + JITTER) * WAITS_MS[attempts - 1]
    assert wait == wait_ms(delivery_id, attempts), "after a restart it is the same"


def test_waits_of_different_deliveries_differ() -> None:
    assert len({wait_ms(f"dlv_{n}", 9) for n in range(100)}) > 90


def test_ten_attempts_over_a_day_then_it_has_failed() -> None:
    now, made_delivery, times = NOW_MS, delivery(), []
    while made_delivery["status"] == PENDING:
        times.append(now)
        made_delivery = after(made_delivery, outcome(500), now)
        now = made_delivery["due_ms"]
    assert (made_delivery["status"], made_delivery["attempts"], made_delivery["due_ms"]) == (FAILED, 10, 0)
    assert len(times) == MAX_ATTEMPTS == 10
    assert 0.8 * DAY_MS < times[-1] - times[0] < 1.2 * DAY_MS
    again = after(made_delivery, outcome(503), NOW_MS + DAY_MS)
    assert (again["status"], again["attempts"]) == (FAILED, 11), "what was asked for is one more attempt, and no more"
    assert after(made_delivery, outcome(200), NOW_MS)["status"] == SUCCEEDED


@pytest.mark.parametrize(
    ("code", "status"),
    [(200, SUCCEEDED), (204, SUCCEEDED), (299, SUCCEEDED), (410, FAILED)]
    + [(code, PENDING) for code in (0, 101, 301, 302, 304, 307, 400, 404, 408, 429, 500, 503)],
)
def test_what_an_answer_means(code: int, status: str) -> None:
    next_state = after(delivery(), outcome(code), NOW_MS)
    assert (next_state["status"], next_state["attempts"], bool(next_state["due_ms"])) == (status, 1, status == PENDING)


def test_an_attempt_names_its_delivery() -> None:
    delivery_id = deliveries.delivery_id("whk_1", "evt_1", "t")
    assert (
        deliveries.delivery_of(deliveries.attempt_id(delivery_id, 12, "0123abcd"))
        == delivery_id
        == deliveries.delivery_of(delivery_id)
    )
    assert delivery_id != deliveries.delivery_id("whk_2", "evt_1", "t") != deliveries.delivery_id("whk_1", "evt_1", "u")
    for other in ("", "x", "dlv_1", delivery_id + "_1", delivery_id.upper(), delivery_id + "_1_0123abcd\n"):
        assert deliveries.delivery_of(other) is None


def test_a_breaker_opens_and_lets_one_probe_through() -> None:
    breaker, now = Breaker(), NOW_MS
    assert breaker.room(now) == HEALTHY
    for _ in range(OPENS_AFTER - 1):
        breaker.failed(now)
    assert breaker.room(now) == FAILING
    pauses = []
    for _ in range(8):
        breaker.failed(now)
        breaker.failed(now)  # one that was under way
        assert breaker.room(now) == breaker.room(breaker.opens_ms - 1) == 0
        assert breaker.room(breaker.opens_ms) == 1
        pauses.append(breaker.opens_ms - now)
        now = breaker.opens_ms
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == PAUSES_MS
    breaker.succeeded()
    assert breaker.room(now) == HEALTHY
    breaker.failed(now)
    assert breaker.room(now) == FAILING


@given(st.lists(st.integers(0, 4), max_size=60), st.randoms(use_true_random=False))
def test_a_contacts_first_attempts_go_one_by_one_in_their_order(rows: list[int], rng: Any) -> None:
    """Whatever ends when; nothing is forgotten."""
    queue, contacts = Queue(), dict[str, str]()
    started: list[Entry] = []
    under_way: list[Entry] = []
    for seq, contact in enumerate(rows):
        entry = Entry(NOW_MS + seq // 5, seq, f"d{seq}")
        contacts[entry.id] = f"c{contact}" if contact else ""
        queue.put(entry)
    while len(started) < len(rows):
        assert len(queue) + len(started) == len(rows)
        popped = queue.pop(NOW_MS + 1000)
        if popped is not None and queue.begin(contacts[popped.id], popped):
            started.append(popped)
            under_way.append(popped)
            busy = [contacts[e.id] for e in under_way if contacts[e.id]]
            assert len(set(busy)) == len(busy)
        if under_way and (popped is None or rng.random() < 0.4):
            ended = under_way.pop(rng.randrange(len(under_way)))
            if contacts[ended.id]:
                queue.end(contacts[ended.id])
    for name in set(contacts.values()) - {""}:
        mine = [e.seq for e in started if contacts[e.id] == name]
        assert mine == sorted(mine)


def test_what_is_not_due_waits_and_a_skipped_one_holds_up_nobody() -> None:
    queue = Queue()
    first, second, third = (Entry(NOW_MS, seq, f"d{seq}") for seq in range(3))
    for entry in (first, second, third):
        queue.put(entry)
    assert queue.pop(NOW_MS - 1) is None
    assert queue.next_due_ms == NOW_MS
    taken = [queue.pop(NOW_MS) for _ in range(3)]
    assert [entry is not None and queue.begin("c", entry) for entry in taken] == [True, False, False]
    queue.end("c")
    assert queue.pop(NOW_MS) == second
    queue.skip("c")
    assert queue.pop(NOW_MS) == third
    queue.put(third)
    assert queue.begin("c", second)
    assert len(queue.clear()) == 1
    assert len(queue) == 0
