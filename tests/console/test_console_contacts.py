"""Contacts are found by any identifier and shown whole; a split and an erasure show beforehand what they will do."""

import re

import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import HARD_WAY, Watched, check_page, code_of, watched
from tests.support.stack import LocalStack

pytestmark = [pytest.mark.console]

SOON = 20_000


async def make(stack: LocalStack, name: str, **more: object) -> str:
    """The id of a contact with an anonymous past and an e-mail address."""
    async with stack.client() as client:
        sync = {"sync": "true", "timeout_ms": "10000"}
        for event in (
            {"type": "looked", "anonymous_id": f"anon-{name}"},
            {"type": "$identify", "anonymous_id": f"anon-{name}", "external_id": name},
        ):
            await client.post("/v1/events", json=event, params=sync)
        body = {"external_id": name, "email": f"{name}@example.com", "consents": {"news": True}, **more}
        written = await client.post("/v1/contacts", json=body)
        assert written.status_code in {200, 201}, written.text
        return str(written.json()["id"])


@pytest.mark.parametrize(("scheme", "width"), HARD_WAY)
async def test_the_pages_are_accessible_whatever_the_values(
    browser: Browser, stack: LocalStack, scheme: str, width: int
) -> None:
    attributes = {f"attribute_{n}": n for n in range(200)} | {"<b>bold</b>": "<script>alert(1)</script>"}
    attributes["long"] = "y" * 10_000
    contact = await make(stack, f"\u202eevil-{width}", attributes=attributes)
    async with watched(browser, stack, scheme, width) as seen:
        await seen.go(await code_of(stack))
        await seen.go("/console/contacts")
        await expect(seen.page.get_by_role("heading", name="Contacts")).to_be_visible()
        await check_page(seen)
        await seen.go(f"/console/contacts/{contact}")
        await expect(seen.page.get_by_text("attribute_199")).to_be_visible()
        await check_page(seen)
        assert await seen.page.locator("main script, main b:not(strong)").count() == 0


@pytest.mark.parametrize("text", ["finds", "Finds@Example.com", "anon-finds", "anonymous_id:anon-finds"])
async def test_any_identifier_finds_the_contact(seen: Watched, stack: LocalStack, text: str) -> None:
    contact = await make(stack, "finds")
    await seen.go("/console/contacts")
    await seen.page.keyboard.press("/")
    await seen.page.keyboard.type(text)
    await seen.page.keyboard.press("Enter")
    await expect(seen.page).to_have_url(re.compile(f"/console/contacts/{contact}$"))
    for part in ("Timeline", "Attributes", "Who it is", "Segments", "Consents"):
        await expect(seen.page.get_by_role("heading", name=part)).to_be_visible()
    await expect(seen.page.locator(".graph circle")).to_have_count(3)


async def test_who_is_not_there_is_said(seen: Watched) -> None:
    await seen.go("/console/contacts?q=nobody%40example.com%3Cb%3E")
    await expect(seen.page.get_by_role("alert")).to_contain_text("nobody@example.com<b>")


async def test_a_split_is_previewed_and_then_done(seen: Watched, stack: LocalStack) -> None:
    contact = await make(stack, "two-people")
    await seen.go(f"/console/contacts/{contact}")
    tie = seen.page.locator("label.pick").filter(has_text="anon-two-people")
    await tie.locator("input").check()
    await seen.page.get_by_role("button", name="Preview the split").click()
    await expect(seen.page.get_by_role("heading", name="What the split would leave")).to_be_visible()
    await expect(seen.page.locator(".groups > li")).to_have_count(2)
    await check_page(seen)
    async with stack.client() as client:
        before = (await client.get(f"/v1/contacts/{contact}/identity")).json()
        assert len(before["identifiers"]) == 3
        await seen.page.get_by_role("button", name="Split into 2").click()
        await expect(seen.page.locator(".graph circle")).not_to_have_count(3, timeout=SOON)
        own, other = [
            (await client.get(f"/v1/contacts/{name}")).json()["id"]
            for name in ("external_id:two-people", "anonymous_id:anon-two-people")
        ]
        assert own != other


async def test_an_erasure_says_what_goes_and_asks_for_the_id(seen: Watched, stack: LocalStack) -> None:
    contact = await make(stack, "to-erase")
    await seen.go(f"/console/contacts/{contact}")
    await seen.page.get_by_text("Erase", exact=True).click()
    await expect(seen.page.get_by_text("It cannot be undone")).to_contain_text("3 identifiers")
    await seen.page.get_by_label(re.compile("Write")).fill("cnt_other")
    await seen.page.get_by_role("button", name="Erase for good").click()
    await expect(seen.page.get_by_role("alert")).to_contain_text("write the contact's id")
    await seen.page.get_by_text("Erase", exact=True).click()
    await seen.page.get_by_label(re.compile("Write")).fill(contact)
    await seen.page.get_by_role("button", name="Erase for good").click()
    await expect(seen.page.get_by_role("status").filter(has_text="erased")).to_be_visible(timeout=SOON)
    async with stack.client() as client:
        assert (await client.get(f"/v1/contacts/{contact}")).status_code == 404


async def test_columns_are_chosen_in_this_browser(seen: Watched, stack: LocalStack) -> None:
    async with stack.client() as client:
        body = {"external_id": "columns-1", "phone": "+4930123456"}
        answer = await client.post("/v1/contacts?sync=true&timeout_ms=10000", json=body)
        assert answer.status_code in {200, 201}, answer.text
    page = seen.page
    await seen.go("/console/contacts")
    await expect(page.get_by_role("columnheader", name="Phone")).to_be_visible()
    await page.get_by_text("Columns", exact=True).click()
    await page.get_by_role("checkbox", name="Phone").uncheck()
    await expect(page.get_by_role("columnheader", name="Phone")).to_be_hidden()
    await expect(page.get_by_role("checkbox", name="Contact")).to_have_count(0)
    await check_page(seen)
    await seen.go("/console/contacts")
    await expect(page.get_by_role("columnheader", name="Phone")).to_be_hidden()
    await expect(page.locator("td[data-label=Phone]").first).to_be_hidden()
    await expect(page.locator("td[data-label=Contact]").first).to_be_visible()
