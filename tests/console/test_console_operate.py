"""Campaigns, webhooks, quarantine and the pipeline: what the API knows, shown; and what may be changed, changed."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from schemas.limits import MAX_LIMIT
from tests.console.browsing import HARD_WAY, Watched, check_page, code_of, watched
from tests.support.stack import LocalStack
from tests.support.waiting import eventually
from tests.support.webhook_receiver import receiver

pytestmark = [pytest.mark.console]

SOON = 20_000


async def campaign_with_messages(stack: LocalStack, name: str) -> str:
    """20 messages of variant a, half of them opened, and 20 of b, none opened."""
    async with stack.client() as client:
        body = {"name": name, "channel": "email", "variants": [{"id": "a", "name": "A"}, {"id": "b", "name": "B"}]}
        made = (await client.post("/v1/campaigns", json=body)).json()
        events = []
        for number in range(40):
            fact = {
                "external_id": f"msg-{number}",
                "campaign_id": made["id"],
                "message_id": f"{made['id']}-{number}",
                "variant": "ab"[number % 2],
            }
            events += [{**fact, "type": "message.sent"}, {**fact, "type": "message.delivered"}]
            if number % 4 == 0:
                events.append({**fact, "type": "message.opened"})
        answer = await client.post("/v1/events/batch?sync=true&timeout_ms=10000", json={"events": events})
        assert answer.status_code in {200, 202}, answer.text
    return str(made["id"])


@pytest.mark.parametrize(("scheme", "width"), HARD_WAY)
async def test_the_pages_are_accessible(browser: Browser, stack: LocalStack, scheme: str, width: int) -> None:
    campaign = await campaign_with_messages(stack, "<i>\u202eodd</i>" + "z" * 80)
    async with stack.client() as client:
        hook = {"url": "http://127.0.0.1:9/nowhere", "types": ["never.sent"]}
        webhook = (await client.post("/v1/webhooks", json=hook)).json()["id"]
    async with watched(browser, stack, scheme, width) as seen:
        await seen.go(await code_of(stack))
        for path in (
            "campaigns",
            f"campaigns/{campaign}",
            "webhooks",
            f"webhooks/{webhook}",
            "quarantine",
            "pipeline",
        ):
            await seen.go(f"/console/{path}")
            await expect(seen.page.locator("h1")).to_be_visible()
            await check_page(seen)


async def test_a_campaign_shows_what_the_api_counts(seen: Watched, stack: LocalStack) -> None:
    campaign = await campaign_with_messages(stack, "Counted")
    await seen.go("/console/campaigns")
    await seen.page.get_by_role("link", name="Counted").click()
    await expect(seen.page.locator(".funnel")).to_contain_text("40")
    await expect(seen.page.locator(".funnel")).to_contain_text("25.0 %")
    await expect(seen.page.locator(".plot canvas")).to_be_visible()
    row = seen.page.get_by_role("row").filter(has=seen.page.get_by_text("A", exact=True))
    await expect(row).to_contain_text("50.0 %")
    await expect(row.get_by_role("img").first).to_have_attribute("aria-label", re.compile("between 29.9 and 70.1 %"))
    await seen.page.get_by_label("State").select_option("opened")
    await expect(seen.page).to_have_url(re.compile(f"{campaign}.*state=opened"))
    await expect(seen.page.get_by_role("heading", name="Messages 10")).to_be_visible()


async def test_a_webhook_is_made_watched_and_disabled(seen: Watched, stack: LocalStack) -> None:
    page = seen.page
    async with receiver() as endpoint:
        await seen.go("/console/webhooks")
        await page.get_by_label("Address").fill(endpoint.url("/console"))
        await page.get_by_role("textbox", name=re.compile("Types")).fill("console_hooked")
        await page.get_by_role("button", name="Make the webhook").click()
        secret = await page.locator(".good code").inner_text()
        assert secret.startswith("whsec_")
        async with stack.client() as client:
            await client.post("/v1/events", json={"type": "console_hooked", "external_id": "h-1"})
            await client.post("/v1/webhooks", json={"url": endpoint.url("/second"), "types": ["never.sent"]})
            listed = (await client.get("/v1/webhooks")).json()["data"]
            webhook = next(row["id"] for row in listed if row["url"].endswith("/console"))
        attempts = page.locator("details.fact")
        for _ in range(40):
            await seen.go(f"/console/webhooks/{webhook}")
            if await attempts.count() and "takes messages" in await page.locator(".head").inner_text():
                break
            await page.wait_for_timeout(500)
        await attempts.first.locator("summary").click()
        await expect(attempts.first.locator("pre").first).to_contain_text("console_hooked", timeout=SOON)
        await check_page(seen)
        await expect(page.locator(".head")).to_contain_text("takes messages")
        await page.get_by_text("Try again by a filter").click()
        await page.get_by_label("Tried since (UTC)").fill("2020-01-01T00:00")
        await page.get_by_label("until (UTC)").fill("2020-01-02T00:00")
        await page.get_by_role("button", name="Try them now").click()
        await expect(page.locator("section[role=status]")).to_contain_text("0 deliveries are tried again")
        await seen.go("/console/webhooks")
        await expect(page.get_by_role("row").filter(has_text="/console")).to_contain_text("1 of 1 came through")
        await expect(page.locator(".fact").filter(has_text="console_hooked")).to_contain_text("attempt 1")
        for path in ("/console", "/second"):
            await page.get_by_label(re.compile(f"Choose .*{path}")).check()
        await page.get_by_text("Try failed messages again").click()
        await page.get_by_role("button", name="Try them now").click()
        shown = page.get_by_role("status").filter(has_text="Tried again")
        await expect(shown.locator(".fact").filter(has_text="/console")).to_contain_text("0 messages")
        await expect(shown.locator(".fact").filter(has_text="/second")).to_contain_text("0 messages")
        await expect(shown.locator(".fact")).to_have_count(2)
        await check_page(seen)
        await seen.go(f"/console/webhooks/{webhook}")
        await page.get_by_role("button", name="Disable").click()
        await expect(page.get_by_role("button", name="Enable")).to_be_visible()
        assert secret not in await page.content()


async def test_the_page_of_one_webhook_shows_its_circuit_however_many_are_older(
    seen: Watched, stack: LocalStack
) -> None:
    async with receiver() as endpoint, stack.client() as client:
        ids = []
        for number in range(MAX_LIMIT + 1):
            kind = "circuit_shown" if number == MAX_LIMIT else "never.sent"
            made = await client.post("/v1/webhooks", json={"url": endpoint.url("/circuit"), "types": [kind]})
            ids.append(made.json()["id"])
        try:
            await client.post("/v1/events", json={"type": "circuit_shown", "external_id": "c-1"})
            for _ in range(40):
                await seen.go(f"/console/webhooks/{ids[-1]}")
                if "takes messages" in await seen.page.locator(".head").inner_text():
                    break
                await seen.page.wait_for_timeout(500)
            await expect(seen.page.locator(".head")).to_contain_text("takes messages")
        finally:
            for webhook_id in ids:
                await client.delete(f"/v1/webhooks/{webhook_id}")


async def test_a_test_message_shows_the_endpoints_answer(seen: Watched, stack: LocalStack) -> None:
    page = seen.page
    async with receiver() as endpoint, stack.client() as client:
        body = {"url": endpoint.url("/tried"), "types": ["segment.*"]}
        webhook = (await client.post("/v1/webhooks", json=body)).json()["id"]
        await seen.go(f"/console/webhooks/{webhook}")
        form = page.locator("#test")
        await form.get_by_role("button", name="Send it now").click()
        await expect(form.get_by_role("status")).to_contain_text("The endpoint took it")
        assert endpoint.got[-1].json["test"] is True
        await form.get_by_label("Type").fill("contact.moved")
        await form.get_by_role("button", name="Send it now").click()
        await expect(page.get_by_role("alert")).to_contain_text("no such type")
        await client.patch(f"/v1/webhooks/{webhook}", json={"url": "http://127.0.0.1:9/"})
        await form.get_by_role("button", name="Send it now").click()
        await expect(form.get_by_role("status")).to_contain_text("cannot connect")
        await check_page(seen)
        await page.get_by_label("Outcome").select_option("failed")
        await expect(page.get_by_text("None like that yet.")).to_be_visible()


async def test_a_wrong_address_is_refused_in_the_form(seen: Watched) -> None:
    await seen.go("/console/webhooks")
    await seen.page.get_by_label("Address").fill("http://user:pass@/x")
    await seen.page.get_by_role("textbox", name=re.compile("Types")).fill("a")
    await seen.page.get_by_role("button", name="Make the webhook").click()
    await expect(seen.page.get_by_role("alert").or_(seen.page.locator("input:invalid")).first).to_be_visible()


async def test_the_pipeline_says_what_health_says(seen: Watched, stack: LocalStack) -> None:
    await seen.go("/console/pipeline")
    async with stack.client() as client:
        report = (await client.get("/health/ready")).json()
    for name in report["components"]:
        await expect(seen.page.locator(".parts li").filter(has_text=name).first).to_contain_text("ok")
    await expect(seen.page.get_by_role("heading", name=re.compile("Ledger"))).to_be_visible()
    async with stack.client() as client:
        event = {"type": "console_counted", "external_id": "counted-1"}
        assert (await client.post("/v1/events?sync=true&timeout_ms=10000", json=event)).status_code == 200

        async def totals() -> Any:
            return (await client.get("/v1/ledger")).json()["totals"]

        await eventually(totals, "it is counted", meets=lambda result: result["accepted"] and not result["residual"])
    await seen.go("/console/pipeline")
    await expect(seen.page.get_by_text("balanced", exact=True)).to_be_visible()
    await expect(seen.page.get_by_role("columnheader", name="residual")).to_be_visible()
    await expect(seen.page.get_by_role("row").filter(has_text="clickhouse-sink")).to_contain_text(re.compile(r"\d+ MB"))
    await check_page(seen)
    await seen.go("/console/quarantine")
    await expect(seen.page.get_by_role("heading", name="Quarantine")).to_be_visible()
