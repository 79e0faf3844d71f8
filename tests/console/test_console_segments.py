"""A rule is a form and JSON at once, with its count while it is typed; a segment is made, edited and removed."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import NARROW, Watched, check_page, code_of, watched
from tests.support.stack import LocalStack

pytestmark = [pytest.mark.console]

SOON = 20_000


async def seed(stack: LocalStack) -> None:
    async with stack.client() as client:
        for number in range(3):
            event = {"type": "seg_bought", "external_id": f"seg-{number}", "properties": {"total": number * 100}}
            answer = await client.post("/v1/events", json=event, params={"sync": "true", "timeout_ms": "10000"})
            assert answer.status_code in {200, 202}


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", NARROW)])
async def test_the_pages_are_accessible(browser: Browser, stack: LocalStack, scheme: str, width: int) -> None:
    await seed(stack)
    async with stack.client() as client:
        body = {"name": "<b>\u202eodd</b>" + "x" * 100, "rule": {"identified": True}}
        made = (await client.post("/v1/segments", json=body)).json()
    async with watched(browser, stack, scheme, width) as seen:
        await seen.go(await code_of(stack))
        for path in ("", "/new", "/new?recipe=4", f"/{made['id']}"):
            await seen.go(f"/console/segments{path}")
            await expect(seen.page.locator("h1")).to_be_visible()
            await check_page(seen)


async def test_form_json_and_count_follow_each_other(seen: Watched, stack: LocalStack) -> None:
    await seed(stack)
    page = seen.page
    await seen.go("/console/segments/new")
    await page.get_by_label("Did").fill("seg_bought")
    await expect(page.locator("#preview")).to_contain_text("3 contacts now", timeout=SOON)
    await expect(page.locator("#rule")).to_have_value(re.compile("seg_bought"))
    await page.get_by_label("where").fill("total")
    await page.get_by_label("Comparison of the property").select_option("gte")
    await page.get_by_label("Value of the property").fill("100")
    await expect(page.locator("#preview")).to_contain_text("2 contacts now", timeout=SOON)
    await page.locator("#rule").fill('{"event": "seg_bought", "count": {"op": "gte", "value": 7}}')
    await expect(page.locator("#preview")).to_contain_text("0 contacts now", timeout=SOON)
    await expect(page.get_by_label("times")).to_have_value("7")
    await page.get_by_role("button", name="an attribute").click()
    await expect(page.get_by_label("Attribute")).to_be_visible(timeout=SOON)
    await expect(page.locator("#rule")).to_have_value(re.compile('"all"'))
    await expect(page.locator("#preview").get_by_role("alert")).to_be_visible()
    await page.get_by_role("button", name="Remove").last.click()
    await expect(page.get_by_label("Attribute")).to_have_count(0, timeout=SOON)
    await check_page(seen)


async def test_mistakes_are_named_and_misspelt_names_are_noticed(seen: Watched, stack: LocalStack) -> None:
    await seed(stack)
    page = seen.page
    await seen.go("/console/segments/new")
    await page.locator("#rule").fill('{"event": "seg_bougth"}')
    await expect(page.locator("#preview")).to_contain_text("similar: seg_bought", timeout=SOON)
    await page.locator("#rule").fill('{"event": ')
    await expect(page.locator("#preview").get_by_role("alert")).to_contain_text("not JSON", timeout=SOON)
    await page.locator("#rule").fill('{"sequence": [{"event": "a"}]}')
    await expect(page.locator("#preview").get_by_role("alert")).to_contain_text("at least two steps", timeout=SOON)
    await expect(page.locator("#form")).to_contain_text("more than a form can")


async def test_a_segment_is_made_from_a_recipe_edited_and_removed(seen: Watched, stack: LocalStack) -> None:
    page = seen.page
    await seen.go("/console/segments")
    await page.get_by_role("link", name=re.compile("Active this week")).click()
    await page.get_by_label("Name").fill("My weekly")
    await page.get_by_role("button", name="Make the segment").click()
    await expect(page.get_by_role("heading", name="My weekly")).to_be_visible(timeout=SOON)
    await expect(page.locator("#standing")).to_contain_text("live", timeout=2 * SOON)
    await page.locator("#rule").fill('{"event": "page_viewed", "within": "14d"}')
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("version 2")).to_be_visible(timeout=SOON)
    await page.get_by_text("Remove this segment").click()
    await page.get_by_role("button", name=re.compile("Remove My weekly")).click()
    await expect(page).to_have_url(re.compile("/console/segments$"), timeout=SOON)
    assert await page.get_by_role("link", name="My weekly").count() == 0
