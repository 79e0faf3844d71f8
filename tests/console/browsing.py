"""A browser and a stack in; a page that notes whatever it must not do, and the checks that every page passes, out."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Request

from tests.support.stack import SECRET, LocalStack

NARROW = 390
OTHER_WAYS = pytest.mark.full("each page of the console in both colour schemes at both widths: in one or two of them")
HARD_WAY = (pytest.param("light", 1280, marks=OTHER_WAYS), ("dark", NARROW))
"""Colours and width of a page that other tests look at in light, and wide."""
VIOLATIONS = """
addEventListener(
  "securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`)
)
"""
REFUSED = re.compile(
    r"the server responded with a status of (4\d\d|503)|ERR_INCOMPLETE_CHUNKED|htmx:sse:error|ERR_CONNECTION"
)
"""What a browser itself says of a page that is an error, and of a stream that broke."""


@dataclass
class Watched:
    """A page; ``faults`` are errors of scripts, violations of the policy, and requests to another host."""

    page: Page
    base: str
    faults: list[str] = field(default_factory=list)

    def on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not REFUSED.search(message.text):
            self.faults.append(f"{message.type}: {message.text}")

    def on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:")):
            self.faults.append(f"a request elsewhere: {request.url}")

    async def go(self, path: str) -> None:
        await self.page.goto(self.base + path)

    async def text(self) -> str:
        return await self.page.inner_text("main")


@asynccontextmanager
async def watched(
    browser: Browser, stack: LocalStack, scheme: str = "light", width: int = 1280
) -> AsyncIterator[Watched]:
    """A browser that has never been here; at its end it must have done nothing wrong."""
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 850}
    )
    await context.add_init_script(VIOLATIONS)
    page = await context.new_page()
    opened = Watched(page, stack.url)
    page.on("console", opened.on_console)
    page.on("pageerror", lambda error: opened.faults.append(f"exception: {error}"))
    page.on("request", opened.on_request)
    try:
        yield opened
        assert opened.faults == [], "\n".join(opened.faults)
    finally:
        await context.close()


async def code_of(stack: LocalStack, headers: dict[str, str] | None = None) -> str:
    """A path that signs in once, with the secret key unless another is given."""
    async with stack.client() as client:
        answer = await client.post("/console/links", headers=headers or SECRET)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["path"])


async def cookie_of(stack: LocalStack) -> dict[str, str]:
    """The cookie of a signed-in browser, for requests that no browser would send."""
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as client:
        answer = await client.get(await code_of(stack), headers={"Accept": "text/html"})
        return {"Cookie": f"headwater_console={answer.cookies['headwater_console']}"}


async def check_page(seen: Watched) -> None:
    """No violation that axe-core knows, and nothing that is wider than the window."""
    results = await Axe().run(seen.page)
    assert results.violations_count == 0, results.generate_report()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await seen.page.evaluate(wide) <= 0, "the page scrolls sideways"
