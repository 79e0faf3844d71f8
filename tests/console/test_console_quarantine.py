"""The page of quarantine: records by reason, one with its bytes, what a replay would do, and the replay itself."""

import re
import time

import pytest
from playwright.async_api import Browser, expect

from schemas import topics
from schemas.records import codec, quarantine
from schemas.service import kafka
from tests.console.browsing import HARD_WAY, Watched, check_page, code_of, watched
from tests.support.builders import event
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.console]

SOON = 30_000
NOW_MS = time.time_ns() // 1_000_000
HOSTILE = b"<script>alert(1)</script>\xff\xe2\x80\xae" + b"long" * 4000


async def put(stack: LocalStack, offset: int, payload: bytes, reason: str) -> str:
    """A record in quarantine that stood on `events`; its id, once the API shows it."""
    key, value = quarantine.encode(
        topic=topics.EVENTS.name,
        partition=1,
        offset=offset,
        key=None,
        payload=payload,
        reason=reason,
        detail="UndecodableError: <b>odd</b>",
        now_ms=NOW_MS,
        workspace="local",
    )
    producer = await kafka.started_producer(stack.settings)
    await producer.send_and_wait(topics.name(topics.QUARANTINE, stack.settings), value, key=key)
    await producer.stop()
    record_id = f"events:1:{offset}:-1"

    async def shown() -> bool:
        async with stack.client() as client:
            return (await client.get(f"/v1/quarantine/{record_id}")).is_success

    await eventually(shown, record_id, every_s=0.3)
    return record_id


@pytest.mark.parametrize(("scheme", "width"), HARD_WAY)
async def test_the_pages_of_quarantine_are_accessible(
    browser: Browser, stack: LocalStack, scheme: str, width: int
) -> None:
    record_id = await put(stack, 2_000_001 + width, HOSTILE, "hostile")
    async with watched(browser, stack, scheme, width) as seen:
        await seen.go(await code_of(stack))
        for path in ("quarantine", "quarantine?plan=1&reason=hostile", f"quarantine/{record_id}"):
            await seen.go(f"/console/{path}")
            await expect(seen.page.locator("h1")).to_be_visible()
            await check_page(seen)


async def test_a_record_is_looked_at_and_replayed(seen: Watched, stack: LocalStack) -> None:
    payload = codec.encode_events([event("external_id:console-q", event_id="evt_console_q")])
    record_id = await put(stack, 2_100_001, payload, "mended")
    await put(stack, 2_100_002, b"poison", "mended")
    page = seen.page
    await seen.go("/console/quarantine")
    await page.get_by_role("link", name=re.compile("2 mended on events")).click()
    await page.get_by_role("button", name="What would a replay do?").click()
    await expect(page.locator("main")).to_contain_text("replay 1")
    await expect(page.locator("main")).to_contain_text("refuse 1")
    await page.locator("summary", has_text="Replay these").click()
    await page.get_by_role("button", name="Replay 2").click()
    await expect(page.get_by_role("heading", name="1 replayed")).to_be_visible(timeout=SOON)
    await expect(page.locator(".good")).to_contain_text("1 not replayed")
    await seen.go(f"/console/quarantine/{record_id}")
    await expect(page.locator("main")).to_contain_text("replayed")
    await expect(page.locator("pre").nth(1)).to_contain_text(payload.hex()[:40])
    await expect(page.get_by_role("button", name="Replay it")).to_have_count(0)


async def test_one_is_discarded(seen: Watched, stack: LocalStack) -> None:
    record_id = await put(stack, 2_200_001, HOSTILE, "discarded-here")
    page = seen.page
    await seen.go(f"/console/quarantine/{record_id}")
    await expect(page.locator("main")).to_contain_text("not a single-object Avro record")
    await expect(page.locator("pre").first).to_contain_text("<script>alert(1)</script>")
    await page.locator("summary", has_text="Discard it").click()
    await page.get_by_role("button", name="Discard it").click()
    await expect(page.get_by_role("heading", name="1 discarded")).to_be_visible(timeout=SOON)
    await check_page(seen)
