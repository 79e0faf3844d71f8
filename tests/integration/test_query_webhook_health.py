"""The health of webhooks on a real engine: of the oldest hundred, and of any one by its id."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from schemas.limits import MAX_LIMIT
from schemas.records.deliveries import Attempt
from schemas.service import clock
from sinks.clickhouse.rows import DELIVERY_ATTEMPTS
from tests.integration.test_query_graph_campaigns import attempt, webhook
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, reads

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

HEALTH = "/v1/webhooks/health"
LAST = MAX_LIMIT
"""The number of the first webhook that is not one of the oldest hundred."""


def failed_now(of: int) -> Attempt:
    return {**attempt(of, 0), "at_ms": clock.now_ms()}


@pytest_asyncio.fixture(scope="module")
async def api(kafka: str, clickhouse: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReadPipeline]:
    """One webhook more than an answer shows, and one of another environment; the first and the last have failed."""
    settings = fresh_settings(tmp_path_factory.mktemp("health"), kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as api:
        for n in range(LAST + 1):
            await api.define("webhook", webhook(n))
        await api.define("webhook", webhook(LAST + 1, environment="staging"))
        await api.store(DELIVERY_ATTEMPTS, failed_now(0), failed_now(LAST))
        yield api


async def of_one(api: ReadPipeline, webhook_id: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await api.get(HEALTH, webhook_id=webhook_id))["data"]
    return data


async def test_without_a_filter_it_is_that_of_the_oldest_hundred(api: ReadPipeline) -> None:
    data = (await api.get(HEALTH))["data"]
    assert [row["webhook_id"] for row in data] == [f"whk_{n}" for n in range(MAX_LIMIT)]
    assert [row["attempts"] for row in data] == [1] + [0] * (MAX_LIMIT - 1)


@pytest.mark.parametrize("number", [0, LAST])
async def test_any_webhook_can_be_chosen_whatever_its_age(api: ReadPipeline, number: int) -> None:
    (row,) = await of_one(api, f"whk_{number}")
    assert (row["webhook_id"], row["circuit"], row["failures_in_a_row"]) == (f"whk_{number}", "limited", 1)


@pytest.mark.parametrize("webhook_id", [f"whk_{LAST + 1}", "whk_unknown", ""])
async def test_a_webhook_of_another_environment_or_of_none_has_no_health(api: ReadPipeline, webhook_id: str) -> None:
    assert await of_one(api, webhook_id) == []
