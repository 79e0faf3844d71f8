"""Pages that store nothing in the browser: their events are kept and are nobody's, until somebody is identified."""

import asyncio
import uuid
from pathlib import Path

import httpx
import pytest

from tests.sdks import manifest, runtimes
from tests.sdks.journey import Names
from tests.sdks.manifest import Case
from tests.sdks.proxy import proxy_to
from tests.sdks.run import Trip, browse
from tests.support.comparison import rows
from tests.support.stack import SECRET, LocalStack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.sdks, pytest.mark.timeout(900)]
BATCH = 5
SQL = "SELECT type, contact_id, length(identifiers) FROM events_resolved WHERE endsWith(type, {run:String})"


SDK = manifest.read(Path(__file__).parent / "cookieless" / "browser" / "posthog-js.js")
CASES = [Case(SDK, SDK.versions[0], variant, short=False) for variant in SDK.variants]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.variant)
async def test_a_page_without_cookies_makes_no_contact(case: Case, stack: LocalStack, tmp_path: Path) -> None:
    lacking = runtimes.missing(case)
    if lacking:
        pytest.skip(f"{case.name} needs {lacking}")
    names = Names(f"r{uuid.uuid4().hex[:8]}")
    runtimes.npm([case], tmp_path / "npm")
    with (
        httpx.Client(base_url=stack.url, headers=SECRET, timeout=30, trust_env=False) as client,
        proxy_to(int(stack.url.rsplit(":", 1)[1])) as proxy,
    ):
        trip, host = Trip(case, names, proxy, client, {}), f"http://127.0.0.1:{proxy.port}"
        output = await asyncio.to_thread(browse, trip, tmp_path / "npm", host)

    async def stored() -> list[tuple[str, bool]]:
        stored_rows = await rows(stack, SQL, run=names.run)
        return sorted((kind.partition(" ")[0], contact != "") for kind, contact, _ in stored_rows)

    is_identified = case.variant == "always"  # who is identified is known, unless cookies were declined
    expected = [*[("Batch", is_identified)] * BATCH, ("Left", is_identified), ("Looked", False)]
    await eventually(stored, f"the page's events: {output[-2000:]}", meets=lambda stored_rows: stored_rows == expected)
    async with stack.client() as reader:
        for kind in ("anonymous_id", "external_id"):
            assert (await reader.get(f"/v1/contacts/{kind}:$posthog_cookieless")).status_code == 404
        ann = await reader.get(f"/v1/contacts/external_id:{names.ann}")
        assert ann.status_code == (200 if is_identified else 404), ann.text
