"""A rule is a form and JSON at once, with its count while it is typed; a segment is made, edited and removed."""

import json
import re

import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import HARD_WAY, NARROW, OTHER_WAYS, Watched, check_page, code_of, watched
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.console]

SOON = 20_000


async def seed(stack: LocalStack) -> None:
    async with stack.client() as client:
        for number in range(3):
            event = {"type": "seg_bought", "external_id": f"seg-{number}", "properties": {"total": number * 100}}
            answer = await client.post("/v1/events", json=event, params={"sync": "true", "timeout_ms": "10000"})
            assert answer.status_code in {200, 202}


@pytest.mark.parametrize(("scheme", "width"), HARD_WAY)
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
    await expect(page.get_by_label("number", exact=True)).to_have_value("7")
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
    await page.locator("#rule").fill('{"not": {"all": [{"event": "a"}, {"event": "b"}]}}')
    await expect(page.locator("#form")).to_contain_text("more than a form can", timeout=SOON)


async def test_a_change_in_the_form_keeps_every_other_part_of_the_rule(seen: Watched, stack: LocalStack) -> None:
    await seed(stack)
    page = seen.page
    zone = '"tz": {"attribute": "zone", "default": "Asia/Tokyo"}'
    birthday = f'{{"attribute": "birthday", "op": "anniversary", "value": -7, {zone}}}'
    steps = '{"sequence": [{"event": "seen"}, {"event": "seg_bought", "within": "1d"}], "tz": "Europe/Berlin"}'
    await seen.go("/console/segments/new")
    await page.locator("#rule").fill(f'{{"any": [{birthday}, {steps}]}}')
    await expect(page.get_by_label("Attribute")).to_have_value("birthday", timeout=SOON)
    await page.get_by_role("button", name="One more step").click()
    await expect(page.get_by_label("and then")).to_have_count(2, timeout=SOON)
    await page.get_by_label("and then").last.fill("signed_up")
    await expect(page.locator("#rule")).to_have_value(re.compile("signed_up"), timeout=SOON)
    body = json.loads(await page.locator("#rule").input_value())
    expected = json.loads(f'{{"any": [{birthday}, {steps}]}}')
    expected["any"][1]["sequence"].append({"event": "signed_up"})
    assert body == expected
    await check_page(seen)


async def test_a_segment_is_made_from_a_recipe_edited_and_removed(seen: Watched, stack: LocalStack) -> None:
    page = seen.page
    await seen.go("/console/segments")
    await page.get_by_role("link", name=re.compile("Looked, then signed up")).click()
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


@pytest.mark.parametrize(("scheme", "width"), [pytest.param("dark", 1280, marks=OTHER_WAYS), ("light", NARROW)])
async def test_a_segment_shows_its_size_its_entries_and_its_exits(
    browser: Browser, stack: LocalStack, scheme: str, width: int
) -> None:
    kind = f"seg_moved_{scheme}"
    async with stack.client() as client:
        rule = {"attribute": "moved", "op": "eq", "value": kind}
        made = (await client.post("/v1/segments", json={"name": kind, "rule": rule})).json()
        ids = []
        for number, value in ((1, kind), (2, kind), (1, "no")):
            body = {"external_id": f"{kind}-{number}", "attributes": {"moved": value}}
            answer = await client.post("/v1/contacts?sync=true&timeout_ms=10000", json=body)
            assert answer.status_code in {200, 201}, answer.text
            ids.append(answer.json()["id"])
    async with watched(browser, stack, scheme, width) as seen:
        await seen.go(await code_of(stack))
        history = seen.page.locator("#history")

        async def shown() -> bool:
            await seen.go(f"/console/segments/{made['id']}")
            await expect(history.locator("canvas")).to_be_visible(timeout=SOON)
            return "2 entered and 1 left" in await history.inner_text()

        await eventually(shown, "its entries and exits", SOON / 1000)
        first = history.locator(".fact").first
        await expect(first).to_contain_text("left")
        await expect(first.get_by_role("link")).to_have_attribute("href", f"/console/contacts/{ids[0]}")
        await history.get_by_role("button", name="by hour").click()
        await expect(history.get_by_role("button", name="by hour")).to_have_attribute("aria-pressed", "true")
        await expect(history.locator("canvas")).to_be_visible(timeout=SOON)
        await check_page(seen)
