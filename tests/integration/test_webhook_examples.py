"""The sender tries webhooks: never at a private address, never for an edge that has stopped waiting."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from schemas import topics
from schemas.records import webhook_tests
from schemas.records.deliveries import WebhookTestRequest, WebhookTestResult
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import process
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiver
from tests.support.webhook_sender import Upstream, now_ms, upstream, webhook

pytestmark = pytest.mark.kafka


@pytest_asyncio.fixture(scope="module")
async def strict(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Upstream]:
    """A sender with the settings as they are by default."""
    settings = fresh_settings(tmp_path_factory.mktemp("strict"), kafka=kafka)
    async with upstream(settings) as up, process(settings, "webhooks"):
        yield up


def wish(of: Any, until_ms: int) -> WebhookTestRequest:
    test_id = f"tst_{secrets.token_hex(8)}"
    return WebhookTestRequest(id=test_id, webhook_id=of.id, type="seen", reply_to="edge_1", until_ms=until_ms)


async def result_of(up: Upstream, test: WebhookTestRequest) -> WebhookTestResult:
    async def answered() -> WebhookTestResult | None:
        records = await up.records(topics.RECEIPTS)
        assert {record.key for record in records} <= {b"edge_1"}
        results = [webhook_tests.decode_webhook_test_result(record.value) for record in records]
        return next((result for result in results if result["id"] == test["id"]), None)

    result: WebhookTestResult = await eventually(answered, "the result of a test message", 20)
    return result


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_no_private_address_is_tried(strict: Upstream, host: str) -> None:
    """Though the definition was let through."""
    async with receiver() as endpoint:
        hook = await strict.define(webhook(f"http://{host}:{endpoint.port}/"))
        test = wish(hook, now_ms() + 60_000)
        await strict.try_webhook(webhook_tests.encode_webhook_test(test))
        result = await result_of(strict, test)
    assert (result["reason"], result["response_code"], result["response_body"]) == ("private_address", 0, b"")
    assert result["error"] == "the address is private: refused"
    assert endpoint.got == []


async def test_what_is_late_unreadable_or_of_no_webhook_is_passed_over(tmp_path: Path, kafka: str) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka).model_copy(update={"webhook_allow_private": True})
    async with upstream(settings) as up, process(settings, "webhooks"), receiver() as endpoint:
        hook = await up.define(webhook(endpoint.url()))
        late, unknown, good = wish(hook, now_ms() - 1), wish(webhook("http://127.0.0.1/"), now_ms() + 60_000), None
        for value in (
            b"",
            b"nonsense",
            webhook_tests.encode_webhook_test(late),
            webhook_tests.encode_webhook_test(unknown),
        ):
            await up.try_webhook(value)
        good = wish(hook, now_ms() + 60_000)
        await up.try_webhook(webhook_tests.encode_webhook_test(good))
        assert (await result_of(up, good))["reason"] == ""
        assert len(endpoint.got) == 1
        assert len(await up.records(topics.RECEIPTS)) == 1
        assert await up.attempts(hook) == []
