"""Copies of events in the live view: distinguished from their first, and filtered by key and status."""

import re
import secrets

import pytest
from playwright.async_api import expect

from tests.console.browsing import Watched, check_page
from tests.console.test_console_live import SOON, listen, row_of
from tests.support.stack import LocalStack

pytestmark = [pytest.mark.console]


async def test_a_copy_of_an_event_is_told_and_found_by_key_and_status(seen: Watched, stack: LocalStack) -> None:
    event = {"type": "copied_one", "external_id": "c-1", "event_id": secrets.token_hex(8)}
    async with stack.client() as client:
        keys = (await client.get("/v1/keys")).json()["data"]
        key = next(key["id"] for key in keys if key["kind"] == "secret")
        await listen(seen, "?type=copied_one")
        for total in (1, 1, 2):
            # the edge passes on copies of requests that wait for the outcome
            sent = {**event, "properties": {"total": total}}
            await client.post("/v1/events?sync=true&timeout_ms=10000", json=sent)
    await expect(row_of(seen, "copied_one")).to_have_count(3, timeout=SOON)
    await expect(row_of(seen, "duplicate")).to_have_count(2, timeout=SOON)
    await expect(row_of(seen, "that says something else")).to_have_count(1)
    await seen.page.get_by_label("Status").select_option("duplicate")
    await expect(row_of(seen, "copied_one")).to_have_count(2, timeout=SOON)
    await seen.page.get_by_role("combobox", name="Key").fill(key)
    await seen.page.get_by_role("button", name="Filter").click()
    await expect(seen.page).to_have_url(re.compile(f"key={key}&status=duplicate"))
    await expect(row_of(seen, "copied_one")).to_have_count(2, timeout=SOON)
    await check_page(seen)
    await listen(seen, "?type=copied_one&key=key_of_another")
    await expect(row_of(seen, "copied_one")).to_have_count(0)
