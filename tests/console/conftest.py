"""One local stack and one headless Chromium for all of this tier."""

from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from playwright.async_api import Browser, BrowserType, Error, async_playwright

from tests.console.browsing import Watched, code_of, watched
from tests.sdks.runtimes import chromium
from tests.support.stack import LocalStack, local_stack

STARTS = 3


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    if not chromium():
        pytest.skip("the console's pages need chromium")
    with local_stack(tmp_path_factory.mktemp("stack"), webhook_allow_private=True) as running:
        yield running


async def launch(browser: BrowserType) -> Browser:
    """Starts Chromium; again if it does not start, because these tests are about pages, not about its start."""
    start = partial(browser.launch, executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
    for number in range(1, STARTS):
        try:
            return await start()
        except Error as error:
            print(f"start {number} of Chromium failed: {error}")
    return await start()


@pytest.fixture(scope="session")
async def browser(stack: LocalStack) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await launch(playwright.chromium)
        yield launched
        await launched.close()


@pytest.fixture
async def seen(browser: Browser, stack: LocalStack) -> AsyncIterator[Watched]:
    """A page of a browser that is signed in with the secret key."""
    async with watched(browser, stack) as page:
        await page.go(await code_of(stack))
        yield page
