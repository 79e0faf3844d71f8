"""A circuit's state from the log of attempts equals the sender's breaker, in any order of attempts."""

import random

import jsonschema

from schemas.api.answers.schemas import answer_schemas
from schemas.api.answers.webhooks import DeliveryAttemptShape
from schemas.api.routes import READS
from schemas.limits import MAX_LIMIT
from schemas.records.deliveries import EXPIRED, FAILED, SUCCEEDED
from schemas.times import iso
from sinks.delivery.breaker import OPENS_AFTER, PAUSES_MS, Breaker
from sinks.read_api.control.webhook_health import CLOSED, LIMITED, LOOKED_AT, OPEN, state

NOW = 1_790_000_000_000


def attempt(at_ms: int, *, good: bool, error: str = "answered with 500") -> DeliveryAttemptShape:
    return {
        "id": "dlv_1.1",
        "delivery_id": "dlv_1",
        "event_id": "evt_1",
        "contact_id": None,
        "type": "bought",
        "attempt": 1,
        "status": SUCCEEDED if good else FAILED,
        "response_code": 200 if good else 500,
        "error": None if good else error,
        "duration_ms": 10,
        "at": iso(at_ms),
        "next_attempt_at": None,
    }


def test_without_attempts_it_is_closed() -> None:
    assert state([], NOW) == {
        "circuit": CLOSED,
        "failures_in_a_row": 0,
        "probe_at": None,
        "attempts": 0,
        "succeeded": 0,
        "median_ms": None,
        "last_success_at": None,
    }


def test_failures_in_a_row_limit_it_open_it_and_a_success_closes_it() -> None:
    log = [attempt(NOW - 100_000, good=True)]
    for number in range(1, OPENS_AFTER + 1):
        log.append(attempt(NOW - 50_000 + number, good=False))
        health = state(random.Random(number).sample(log, len(log)), NOW)
        assert health["circuit"] == (OPEN if number == OPENS_AFTER else LIMITED)
        assert (health["failures_in_a_row"], health["succeeded"]) == (number, 1)
    assert health["last_success_at"] == iso(NOW - 100_000)
    log.append(attempt(NOW - 1000, good=True))
    assert state(log, NOW)["circuit"] == CLOSED


def test_its_probes_are_when_the_breaker_sends_them() -> None:
    breaker, log, at = Breaker(), list[DeliveryAttemptShape](), NOW
    for _ in range(OPENS_AFTER + 5):
        log.append(attempt(at, good=False))
        breaker.failed(at + 10)
        at = max(at + 100, breaker.opens_ms)
    assert state(log, NOW)["probe_at"] == iso(breaker.opens_ms)
    assert breaker.opens_ms - (at - 100) <= PAUSES_MS[1] + 10
    assert state(log, breaker.opens_ms + 5)["probe_at"] == iso(breaker.opens_ms + 5), "it is due"


def test_a_message_that_expired_is_no_failure() -> None:
    assert state([attempt(NOW, good=False, error=EXPIRED)], NOW)["attempts"] == 0


def test_it_is_as_it_is_described() -> None:
    shape = answer_schemas()["WebhookCondition"]
    logs: list[list[DeliveryAttemptShape]] = [[], [attempt(NOW, good=True)], [attempt(NOW, good=False)] * OPENS_AFTER]
    for log in logs:
        health = {"webhook_id": "whk_1", **state(log, NOW)}
        assert [error.message for error in jsonschema.Draft202012Validator(shape).iter_errors(health)] == []


def test_the_description_tells_how_many_attempts_and_webhooks_the_figures_are_of() -> None:
    attempts = answer_schemas()["WebhookCondition"]["properties"]["attempts"]
    assert f"newest {LOOKED_AT} " in attempts["description"]
    (route,) = (route_spec for route_spec in READS if route_spec.path == "/v1/webhooks/health")
    assert str(MAX_LIMIT) in route.summary
