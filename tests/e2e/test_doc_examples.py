"""The requests that the pages of `/docs` show, sent in their order; each answer has what the page says of it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from ingest import doc_pages
from tests.support.stack import LocalStack

pytestmark = pytest.mark.e2e

PAGES = ("start", "campaigns", "identity", "importing")
_BLOCK = re.compile(r"```json (answer|(?:GET|POST|PATCH) [^\n]+)\n(.*?)```", re.DOTALL)


def steps(page: str) -> Iterator[tuple[str, str, Any, Any]]:
    """Method, path, body, and what the answer shows, where the page says so."""
    blocks = _BLOCK.findall(doc_pages.source(page))
    for (what, body), (following, answer) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if what != "answer":
            method, _, path = what.partition(" ")
            shown = orjson.loads(answer) if following == "answer" else None
            yield method, path, orjson.loads(body) if body.strip() else None, shown


def verify(shown: Any, answer: Any, place: str) -> None:
    """What is shown is there; ``...`` stands for anything."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert name in answer, place
            verify(value, answer[name], f"{place}.{name}")
    elif isinstance(shown, list) and shown:
        assert len(shown) == len(answer), place
        for index, value in enumerate(shown):
            verify(value, answer[index], f"{place}[{index}]")
    elif isinstance(shown, str) and shown.endswith("..."):
        assert answer.startswith(shown[:-3]), (place, answer)
    else:
        assert answer == shown, (place, answer)


@pytest.mark.parametrize("page", PAGES)
async def test_what_a_page_shows_is_answered_so(stack: LocalStack, page: str) -> None:
    async with stack.client() as client:
        made = await client.post("/v1/environments", json={"id": f"docs-{page}"})
        assert made.status_code == 201, made.text
        client.headers["Headwater-Environment"] = f"docs-{page}"
        ran = [await _ran(client, *step) for step in steps(page)]
    assert len(ran) >= 2


async def _ran(client: httpx.AsyncClient, method: str, path: str, body: Any, shown: Any) -> str:
    answer = await client.request(method, path, json=body)
    assert answer.is_success, (path, answer.text)
    if shown is not None:
        verify(shown, answer.json(), f"{method} {path}")
    return path
