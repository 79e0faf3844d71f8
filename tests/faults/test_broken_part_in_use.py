"""Files of parts that are in use go empty under a database that runs: everything is there again, by itself."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.support.comparison import create_segments, rows, settled
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.stack import LocalStack, local_stack
from tests.support.waiting import eventually

SEED = 20_261_127
EVENTS = 300
TABLES = ("events", "links", "contacts")


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_parts_that_break_in_use_are_read_again_from_kafka(tmp_path: Path, say: Callable[[str], None]) -> None:
    events = make_events(SEED, EVENTS, people=60, now_ms=time.time_ns() // 1_000_000)
    ledger = SentLedger()
    with local_stack(tmp_path) as stack:
        segments = await create_segments(stack, RULES)
        await deliver(stack.settings.port, events, ledger, per_second=200)
        assert not await settled(stack, ledger, segments, within_s=60)
        broken = await empty_marks(stack)
        assert {table for table, _ in broken} == set(TABLES)
        for table in TABLES:  # or nothing was broken
            with pytest.raises(ClickHouseError):
                await rows(stack, f"SELECT sum(_offset), max(workspace) FROM {table}")
        began = time.monotonic()
        # one more of each table: the inserts go on while the broken parts are there
        more = make_events(SEED + 1, EVENTS, people=60, now_ms=time.time_ns() // 1_000_000)
        await deliver(stack.settings.port, more, ledger, per_second=200)
        problems = await settled(stack, ledger, segments, within_s=120)
        assert not problems, f"{problems}\n{stack.log_tails()}"
        async with stack.client() as http:
            await eventually(lambda: is_well(http), "readiness", 60)
        say(f"{len(broken)} parts broke in use: all there again after {time.monotonic() - began:.1f} s")
        await eventually(lambda: has_no_detached_parts(stack), "no detached parts", 60)


async def has_no_detached_parts(stack: LocalStack) -> bool:
    """Whether the remains of all parts are removed; those of the last one may still be there when all rows are."""
    return not await rows(stack, "SELECT table, name FROM system.detached_parts")


async def empty_marks(stack: LocalStack) -> list[tuple[str, str]]:
    """Empty what finds rows in the data of each part in use of ``TABLES``, and have ClickHouse forget what it read."""
    client = await stack.database()
    parts = await rows(
        stack,
        "SELECT table, name, path FROM system.parts WHERE active AND database = currentDatabase()"
        " AND table IN {tables:Array(String)}",
        tables=list(TABLES),
    )
    for _, _, path in parts:
        for file in await asyncio.to_thread(lambda of: list(Path(of).glob("*mrk*")), path):
            file.write_bytes(b"")
    for cache in ("MARK", "INDEX MARK", "UNCOMPRESSED", "INDEX UNCOMPRESSED", "QUERY CONDITION"):
        await client.command(f"SYSTEM DROP {cache} CACHE")
    await client.close()
    return [(table, part) for table, part, _ in parts]


async def is_well(http: httpx.AsyncClient) -> bool:
    answer = await http.get("/health/ready")
    return answer.status_code == 200 and "broke" not in answer.text
