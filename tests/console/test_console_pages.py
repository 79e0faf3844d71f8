"""Every page in both schemes and on a telephone: accessible, within its policy, and nothing from elsewhere."""

import gzip
import re

import pytest
from playwright.async_api import Browser, expect

from tests.console.browsing import NARROW, OTHER_WAYS, check_page, code_of, cookie_of, watched
from tests.support.stack import LocalStack

pytestmark = [pytest.mark.console]

PAGES = tuple(
    f"/console/{name}"
    for name in "live contacts segments segments/new campaigns webhooks quarantine pipeline keys none".split()
)
WAYS = (
    ("light", 1280),
    ("dark", NARROW),
    *(pytest.param(*way, marks=OTHER_WAYS) for way in (("dark", 1280), ("light", NARROW))),
)
MOST_PAGE = 60_000
"""Bytes of a page with all that it loads, as they are sent."""


@pytest.mark.parametrize(("scheme", "width"), WAYS)
async def test_every_page_is_accessible_and_keeps_its_policy(
    browser: Browser, stack: LocalStack, scheme: str, width: int
) -> None:
    async with watched(browser, stack, scheme, width) as seen:
        await seen.go("/console/sign-in")
        await check_page(seen)
        await seen.go(await code_of(stack))
        for path in PAGES:
            await seen.go(path)
            await expect(seen.page.locator("h1")).to_be_visible()
            await check_page(seen)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_with_all_that_it_loads_is_small(stack: LocalStack, path: str) -> None:
    cookie = await cookie_of(stack)
    async with stack.client() as client:
        page = await client.get(path, headers=cookie)
        loaded = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text)
        assert len(loaded) >= 5
        files = [await client.get(path, headers={"Accept-Encoding": "identity"}) for path in loaded]
    assert all(file.headers["cache-control"].endswith("immutable") for file in files)
    assert sum(len(gzip.compress(file.content, 9)) for file in (page, *files)) <= MOST_PAGE


async def test_the_keyboard_goes_everywhere(browser: Browser, stack: LocalStack) -> None:
    async with watched(browser, stack) as seen:
        await seen.go(await code_of(stack))
        await seen.page.keyboard.press("Tab")
        await expect(seen.page.locator(".skip")).to_be_focused()
        await seen.page.keyboard.press("g")
        await seen.page.keyboard.press("k")
        await expect(seen.page).to_have_url(re.compile("/console/keys$"))
        await seen.page.keyboard.press("?")
        await expect(seen.page.locator("#help")).to_be_visible()
        await seen.page.keyboard.press("Escape")
        await expect(seen.page.locator("#help")).to_be_hidden()
