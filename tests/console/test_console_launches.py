"""A campaign's launches: shown with reached contacts, previewed, and launched once, if the key has the scope."""

import re
import secrets
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import NARROW, Watched, check_page, code_of, watched
from tests.support.stack import LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.console]

SOON = 20_000


async def campaign_to_launch(client: httpx.AsyncClient) -> tuple[str, str]:
    """Returns the campaign's id, and the identifier of a contact that accepts mail."""
    tag = secrets.token_hex(4)
    contact = {"external_id": tag, "email": f"{tag}@example.com", "consents": {"email_marketing": True}}
    answer = await client.post("/v1/contacts?sync=true&timeout_ms=10000", json=contact)
    assert answer.status_code in {200, 201}, answer.text
    body = {"name": f"Launched {tag}", "channel": "email", "delivery": {"topic": "mail"}}
    return (await client.post("/v1/campaigns", json=body)).json()["id"], f"external_id:{tag}"


async def test_a_launch_is_previewed_and_done_once(seen: Watched, stack: LocalStack) -> None:
    page = seen.page
    async with stack.client() as client:
        campaign, contact = await campaign_to_launch(client)
        await seen.go(f"/console/campaigns/{campaign}")
        form = page.locator("#launches")
        await form.get_by_text("New launch").click()
        await page.get_by_label("to one contact").fill(contact)
        await page.get_by_label("Content of the messages").fill("{not JSON")
        await page.get_by_role("button", name="Show what would happen").click()
        await expect(form.get_by_role("alert")).to_contain_text("not JSON")
        await page.get_by_label("Content of the messages").fill('{"subject": "Hello"}')
        await page.get_by_role("button", name="Show what would happen").click()
        await expect(form.get_by_role("status")).to_contain_text("This launch would send 1 message")
        assert (await client.get(f"/v1/campaigns/{campaign}/launches")).json()["data"] == []
        await check_page(seen)
        await page.get_by_role("button", name="Launch to 1 contact").click()
        await expect(page.get_by_role("heading", name=re.compile("Launches 1"))).to_be_visible(timeout=SOON)

        async def launched() -> Any:
            return (await client.get(f"/v1/campaigns/{campaign}/launches")).json()["data"]

        await eventually(launched, "it is done", meets=lambda result: [row["status"] for row in result] == ["done"])
        await page.reload()
        await expect(form.locator(".fact")).to_contain_text("1 of 1 contacts")


@pytest.mark.parametrize(("scheme", "width"), [("light", NARROW), ("dark", 1280)])
async def test_who_may_only_read_is_offered_no_launch(
    browser: Browser, stack: LocalStack, scheme: str, width: int
) -> None:
    async with stack.client() as client:
        campaign, contact = await campaign_to_launch(client)
        await client.post(f"/v1/campaigns/{campaign}/launch?timeout_ms=10000", json={"contact": contact})
        made = await client.post("/v1/keys", json={"name": "r", "kind": "secret", "scopes": ["campaigns:read"]})
        async with watched(browser, stack, scheme, width) as seen:
            await seen.go(await code_of(stack, {"Authorization": f"Bearer {made.json()['key']}"}))
            await seen.go(f"/console/campaigns/{campaign}")
            await expect(seen.page.locator("#launches .fact")).to_contain_text("of 1 contacts")
            assert await seen.page.get_by_text("New launch").count() == 0
            await check_page(seen)
