"""The live view, as a person sees it: an event's one row fills in, refusals stand beside it, and nothing is hidden."""

import json
import os
import re
import signal
import time
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Locator, expect

from tests.console.browsing import NARROW, Watched, check_page, code_of, watched
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.console]

SOON = 15_000
"""Milliseconds; a test that passes needs a tenth of it."""


async def listen(seen: Watched, query: str = "") -> None:
    await seen.go(f"/console/live{query}")
    await expect(seen.page.locator("#state")).to_have_text("Listening", timeout=SOON)


async def send(stack: LocalStack, *events: dict[str, Any]) -> list[dict[str, Any]]:
    async with stack.client() as client:
        answer = await client.post("/v1/events/batch", json={"events": list(events)})
        assert answer.status_code == 202, answer.text
        return list(answer.json()["results"])


def is_live(answer: httpx.Response) -> bool:
    return bool(answer.json()["status"] == "live")


def row_of(seen: Watched, text: str) -> Locator:
    return seen.page.locator("#rows > li").filter(has_text=text)


async def test_the_first_event_is_there_at_once_and_its_row_fills_in_place(seen: Watched, stack: LocalStack) -> None:
    async with stack.client() as client:
        rule = {"event": "console_ordered", "count": {"op": "gte", "value": 1}}
        segment = await client.post("/v1/segments", json={"name": "Buyers", "rule": rule})
        assert segment.status_code == 201
        place = f"/v1/segments/{segment.json()['id']}"
        await eventually(lambda: client.get(place), "the segment is live", 60, meets=is_live)
    await listen(seen)
    await expect(seen.page.get_by_role("heading", name="Send a first event")).to_be_visible()
    began = time.monotonic()
    await send(stack, {"type": "console_ordered", "external_id": "first-1", "properties": {"total": 1}})
    row = row_of(seen, "console_ordered")
    await expect(row).to_have_count(1)
    assert time.monotonic() - began < 2
    await expect(row).to_contain_text("accepted")
    await expect(row.locator(".step.done")).to_have_count(4, timeout=SOON)
    await expect(row).to_contain_text("entered Buyers")
    await expect(row).to_contain_text(re.compile(r"stored \d"))
    await expect(row).to_have_count(1)
    await expect(seen.page.get_by_role("heading", name="Send a first event")).to_be_hidden()


async def test_refused_requests_stand_in_the_same_list_without_secrets(seen: Watched, stack: LocalStack) -> None:
    await listen(seen)
    secret = "sk_live_5ecret5ecret5ecret"
    async with stack.client() as client:
        wrong = {"Authorization": f"Bearer {secret}"}
        await client.post("/v1/events", json={"type": "x"}, headers=wrong)
        await client.post("/v1/events", json={"external_id": "no-type"})
        await client.post("/v1/events", content=b"x" * (6 * 1024 * 1024))
        await client.post("/track", json={"event": "x", "environment": "nowhere", "properties": {}})
        await client.post("/v1/nowhere-at-all?apiKey=sk_in_a_query", json={})
    for text in ("invalid_key", "missing_field", "too_large", "unknown_environment", "/v1/nowhere-at-all"):
        await expect(row_of(seen, text)).to_have_count(1, timeout=SOON)
    await expect(row_of(seen, "invalid_key")).to_contain_text("sk_live_…")
    await row_of(seen, "missing_field").locator("a").click()
    await expect(seen.page.locator("#detail")).to_contain_text("Nothing of this request was stored", timeout=SOON)
    assert "5ecret" not in await seen.page.content()
    assert "in_a_query" not in await seen.page.content()


async def test_a_refused_item_of_an_accepted_request_has_its_row(seen: Watched, stack: LocalStack) -> None:
    await listen(seen)
    good, bad = (
        {"type": "item_good", "external_id": "i-1"},
        {"type": "item_bad", "external_id": "i-2", "timestamp": "soon"},
    )
    async with stack.client() as client:
        answer = await client.post("/v1/events/batch", json={"events": [good, bad, good]})
        assert answer.status_code in {202, 207}, answer.text
    row = row_of(seen, "item_bad")
    await expect(row).to_contain_text("item refused", timeout=SOON)
    await expect(row).to_contain_text("events[1].timestamp")
    await expect(row).to_contain_text("2 others of its request taken")
    await row.locator("a").click()
    await expect(seen.page.locator("#detail")).to_contain_text("The request was accepted", timeout=SOON)
    await check_page(seen)


async def test_a_filter_is_saved_in_the_browser_and_forgotten(seen: Watched) -> None:
    page = seen.page
    await listen(seen, "?type=%3Cb%3Eodd&status=refused")
    await page.get_by_role("button", name="Save").click()
    await listen(seen)
    saved = page.get_by_role("navigation", name="Saved filters")
    await saved.get_by_role("link", name="type: <b>odd · status: refused").click()
    await expect(page).to_have_url(re.compile("type=%3Cb%3Eodd&status=refused$"))
    await expect(page.locator("#status")).to_have_value("refused")
    await check_page(seen)
    await saved.get_by_role("button", name="Forget the filter").click()
    await expect(saved).to_be_hidden()
    await page.evaluate("localStorage.setItem('headwater.filters.local', '{\"odd\": 1}')")
    await listen(seen)
    await expect(saved).to_be_hidden()


async def test_a_key_without_the_instance_sees_no_strangers(browser: Browser, stack: LocalStack) -> None:
    async with stack.client() as client:
        made = await client.post("/v1/keys", json={"name": "r", "kind": "secret", "scopes": ["contacts:read"]})
        async with watched(browser, stack) as seen:
            await seen.go(await code_of(stack, {"Authorization": f"Bearer {made.json()['key']}"}))
            await listen(seen)
            await client.post("/v1/events", json={"type": "x"}, headers={"Authorization": "Bearer sk_stranger"})
            await client.post("/v1/events", json={"type": "mine", "external_id": "m-1", "odd": 1})
            await expect(row_of(seen, "unknown_field")).to_have_count(1, timeout=SOON)
            assert await row_of(seen, "invalid_key").count() == 0


async def test_a_filter_in_the_address_runs_on_the_server(seen: Watched, stack: LocalStack) -> None:
    await listen(seen, "?contact=email:Filter@Example.com")
    await expect(seen.page.get_by_label("Contact")).to_have_value("email:Filter@Example.com")
    event = {"type": "wanted_one", "external_id": "f-1", "email": "filter@example.com"}
    await send(stack, {"type": "unwanted_one", "external_id": "f-2"}, event)
    await expect(row_of(seen, "wanted_one")).to_have_count(1, timeout=SOON)
    assert await row_of(seen, "unwanted_one").count() == 0
    await seen.page.get_by_label("Status").select_option("refused")
    await expect(seen.page).to_have_url(re.compile("contact=email.*status=refused"))


async def test_a_pause_loses_nothing(seen: Watched, stack: LocalStack) -> None:
    await listen(seen, "?type=paused_one")
    await send(stack, {"type": "paused_one", "external_id": "p-0"})
    await expect(row_of(seen, "p-0")).to_have_count(1, timeout=SOON)
    await seen.page.keyboard.press("p")
    await send(stack, *({"type": "paused_one", "external_id": f"p-{n}"} for n in range(1, 8)))
    await expect(seen.page.locator("#pause")).to_have_text("Go on (+7)", timeout=SOON)
    await expect(seen.page.locator(".rows > li:visible")).to_have_count(1)
    await expect(seen.page.locator("#frozen .step.done")).to_have_count(4, timeout=SOON)
    await seen.page.keyboard.press("p")
    await expect(seen.page.locator("#rows > li")).to_have_count(8)
    names = await seen.page.locator("#rows .whose").all_inner_texts()
    assert names[-1] == "p-0"
    assert sorted(names) == [f"p-{n}" for n in range(8)]


async def test_the_read_api_dies_and_the_page_says_so_and_misses_nothing(seen: Watched, stack: LocalStack) -> None:
    await listen(seen, "?type=outage")
    await send(stack, {"type": "outage", "external_id": "before-it"})
    await expect(row_of(seen, "before-it").locator(".step.done")).to_have_count(4, timeout=SOON)
    os.kill(stack.pid("query"), signal.SIGKILL)
    await expect(seen.page.locator("#state")).to_contain_text("Connection lost", timeout=2000)
    await send(stack, {"type": "outage", "external_id": "meanwhile"})
    await expect(row_of(seen, "meanwhile")).to_have_count(1, timeout=4 * SOON)
    await expect(seen.page.locator("#state")).to_have_text("Listening")
    await expect(row_of(seen, "before-it")).to_have_count(1)


async def test_hostile_values_stay_text(seen: Watched, stack: LocalStack) -> None:
    await listen(seen)
    script = "<script>document.title='owned'</script><img src=x onerror=document.title='owned'>"
    many = {f"attribute_{n}": n for n in range(200)}
    (sent,) = await send(
        stack,
        {
            "type": script,
            "external_id": "\u202e<hx-partial hx-target='#rows'>gone",
            "properties": {"long": "x" * 10_000, **many},
        },
    )
    row = seen.page.locator("#rows > li").filter(has_text="document.title")
    await expect(row).to_have_count(1, timeout=SOON)
    await expect(row.locator(".step.done")).to_have_count(4, timeout=SOON)
    await row.locator("a").click()
    detail = seen.page.locator("#detail")
    await expect(detail).to_contain_text(sent["event_id"], timeout=SOON)
    await expect(detail.locator("pre").first).to_contain_text("attribute_199")
    assert "owned" not in await seen.page.title()
    assert await seen.page.locator("main script, main img").count() == 0
    await check_page(seen)


async def test_a_row_opens_and_is_sent_again(seen: Watched, stack: LocalStack) -> None:
    page = seen.page
    await listen(seen, "?type=opened")
    (sent,) = await send(
        stack, {"type": "opened", "external_id": "o-1", "email": "o1@example.com", "properties": {"a": 1}}
    )
    await expect(row_of(seen, "opened").locator(".step.done")).to_have_count(4, timeout=SOON)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    detail = page.locator("#detail")
    await expect(detail).to_be_focused(timeout=SOON)
    await check_page(seen)
    await detail.get_by_role("tab", name="Contact").click()
    await expect(detail.locator("#about-panel-Contact")).to_contain_text("o1@example.com")
    await detail.get_by_role("tab", name="Way").click()
    steps = detail.locator("#about-panel-Way li")
    for number, words in enumerate(("track by altacee", "acknowledged by Kafka", "cnt_")):
        await expect(steps.nth(number)).to_contain_text(words)
    await expect(steps.nth(1)).to_contain_text(re.compile(r"events/\d+/\d+/\d+"))
    await check_page(seen)
    await detail.get_by_role("tab", name="Row").click()
    sql = await detail.locator("#about-panel-Row code").inner_text()
    database = await stack.database()
    rows = await database.query(sql)
    await database.close()
    assert len(rows.result_rows) == 1
    await detail.get_by_role("button", name="Send again").click()
    await expect(page.locator("#sent")).to_contain_text("sent as evt_", timeout=SOON)
    await expect(row_of(seen, "opened")).to_have_count(2, timeout=SOON)
    await page.keyboard.press("Escape")
    await expect(detail).to_be_empty()
    assert sent["event_id"] not in await page.locator("#sent").all_inner_texts()


async def test_on_a_telephone_and_in_the_dark_it_is_as_good(browser: Browser, stack: LocalStack) -> None:
    async with watched(browser, stack, "dark", NARROW) as seen:
        await seen.go(await code_of(stack))
        await listen(seen)
        await send(stack, {"type": "small_screen", "external_id": "s-1"})
        await expect(row_of(seen, "small_screen").locator(".step.done")).to_have_count(4, timeout=SOON)
        await check_page(seen)
        await row_of(seen, "small_screen").locator("a").click()
        await expect(seen.page.locator("#detail")).to_contain_text("s-1", timeout=SOON)
        await check_page(seen)


async def test_silence_is_explained_by_what_came_instead(seen: Watched, stack: LocalStack) -> None:
    async with stack.client() as client:
        await listen(seen, "?type=never_sent")
        elsewhere = {"type": "x", "external_id": "e-1"}
        answer = await client.post("/v1/events?environment=staging", json=elsewhere, headers=SECRET)
        assert answer.status_code == 202, json.dumps(answer.json())
        await client.post("/v1/events", json=elsewhere)
    await expect(seen.page.locator("#hint")).to_contain_text("environment staging", timeout=40_000)
    await expect(seen.page.locator("#hint")).to_contain_text("the filter leaves out")


async def test_nobody_watches_without_the_scope_and_a_revoked_key_sees_no_more(
    browser: Browser, stack: LocalStack
) -> None:
    async with stack.client() as client:
        sender = await client.post("/v1/keys", json={"name": "s", "kind": "secret", "scopes": ["events:ingest"]})
        reader = await client.post("/v1/keys", json={"name": "r", "kind": "secret", "scopes": ["contacts:read"]})
        async with watched(browser, stack) as seen:
            await seen.go(await code_of(stack, {"Authorization": f"Bearer {sender.json()['key']}"}))
            await expect(seen.page.get_by_text("needs a key with the scope")).to_be_visible()
            answer = await seen.page.request.get(f"{stack.url}/console/live/stream")
            assert answer.status == 403
        async with watched(browser, stack) as seen:
            await seen.go(await code_of(stack, {"Authorization": f"Bearer {reader.json()['key']}"}))
            await listen(seen)
            await client.delete(f"/v1/keys/{reader.json()['id']}")
            await expect(seen.page.get_by_label("Secret key")).to_be_visible(timeout=SOON)


async def test_five_thousand_events_are_shown_in_part_and_counted(seen: Watched, stack: LocalStack) -> None:
    await listen(seen, "?type=flood")
    for start in range(0, 5000, 1000):
        await send(stack, *({"type": "flood", "external_id": f"u-{start + n}"} for n in range(1000)))
    await expect(seen.page.locator("#hidden")).to_contain_text("are not shown", timeout=SOON)
    await send(stack, {"type": "flood", "external_id": "after-the-flood"})
    await expect(
        row_of(seen, "after-the-flood").or_(seen.page.locator("#hidden:has-text('not shown')")).first
    ).to_be_visible()
    assert 20 <= await seen.page.locator("#rows > li").count() <= 300
