"""The database's own small disk fills while events flow, and is emptied: what was acknowledged is there, once."""

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from sinks.maintenance.compact import compact_merges
from tests.support.comparison import create_segments, rows, settled
from tests.support.forms import Form
from tests.support.sent_ledger import RULES, SentLedger, deliver, make_events
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stack import LocalStack, local_stack
from tests.support.waiting import eventually

SEED = 20_261_126
EVENTS = 3_000
PER_SECOND = 400
DISK_MIB = 160


@pytest.mark.faults
@pytest.mark.timeout(550)
async def test_nothing_acknowledged_is_lost_on_a_disk_that_fills(
    tmp_path: Path, form: Form, say: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = make_events(SEED, EVENTS, people=300, now_ms=time.time_ns() // 1_000_000)
    ledger, rng = SentLedger(), random.Random(SEED)
    times = form.number("times that the disk fills under load", short=2, full=4)
    # no floor: the disk is filled under writes that are under way, which no floor can keep others from
    with (
        small_disk(tmp_path / "clickhouse", DISK_MIB) as disk,
        local_stack(tmp_path, clickhouse_floor_mib=0) as stack,
    ):
        segments = await create_segments(stack, RULES)
        sending = asyncio.create_task(deliver(stack.settings.port, events, ledger, per_second=PER_SECOND))
        full = 0
        while not sending.done() and full < times:
            await asyncio.sleep(0.5 + rng.random())
            await asyncio.to_thread(disk.fill)
            full += 1
            await asyncio.sleep(0.5 + rng.random() / 2)
            disk.clear()
        await sending
        assert len(ledger.events) == EVENTS
        problems = await settled(stack, ledger, segments, within_s=120)
        say(f"small disk: full {full} times while {EVENTS} events were sent")
        assert not problems, f"{problems}\n{stack.log_tails()}"
        erasure = await cut_off(stack, disk)
        problems = await settled(stack, ledger, segments, within_s=120)
        assert not problems, f"{problems}\n{stack.log_tails()}"
        await remains_removed(stack)
        async with stack.client() as http:
            await eventually(lambda: is_done(http, erasure), "the erasure", 120)
        assert await rows(stack, "SELECT count() FROM events WHERE has(identifiers.value, 'gone')") == [(0,)]
        monkeypatch.setattr("sinks.maintenance.compact.LOCK_EXPIRES_S", 1)  # of the one that was cut off
        squashed = await compact_merges(stack.settings, age_s=0)
        assert squashed is not None
        assert squashed.overrides > 0
        assert await rows(stack, "SELECT table, command FROM system.mutations WHERE NOT is_done") == []
        assert await rows(stack, "SELECT name FROM system.tables WHERE startsWith(name, '_squash')") == []
        problems = await settled(stack, ledger, segments, within_s=30)
        assert not problems, f"{problems}\n{stack.log_tails()}"


async def cut_off(stack: LocalStack, disk: SmallDisk) -> str:
    """A squash and an erasure under way, the disk full, the database killed; what it leaves behind is the worst.

    Returns the erasure's address.
    """
    client = await stack.database()
    await client.command("SYSTEM STOP MERGES events")  # a mutation of them begins and does not end
    await client.close()
    folding = asyncio.create_task(compact_merges(stack.settings, age_s=0))
    await under_way(stack, "UPDATE")
    async with stack.client() as http:
        made = await http.post("/v1/events?sync=true&timeout_ms=10000", json={"external_id": "gone", "type": "seen"})
        assert made.status_code == 200, made.text
        # it cannot end while merges are stopped; 503: a busy machine had no time to look the contact up
        path = "/v1/contacts/external_id:gone?timeout_ms=1000"
        gone = await eventually(lambda: http.delete(path), "an erasure", meets=lambda answer: answer.status_code == 202)
    await under_way(stack, "DELETE")
    await asyncio.to_thread(disk.fill)
    supervisor = stack.pid("supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    try:
        database = psutil.Process(stack.pid("clickhouse"))
        database.kill()
        while database.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)
        disk.clear()
        folding.cancel()
        await asyncio.gather(folding, return_exceptions=True)
        damage(disk.path)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    async with stack.client() as http:
        await eventually(lambda: is_named(http, "events/broken-on-start"), "readiness naming what broke", 120)
    return str(gone.headers["Location"])


async def under_way(stack: LocalStack, command: str) -> None:
    sql = "SELECT 1 FROM system.mutations WHERE table = 'events' AND NOT is_done AND position(command, {of:String}) > 0"
    await eventually(lambda: rows(stack, sql, of=command), f"{command} of events under way", 120)


async def is_named(http: httpx.AsyncClient, words: str) -> bool:
    return words in (await http.get("/health/ready")).text


async def is_done(http: httpx.AsyncClient, erasure: str) -> bool:
    answer = await http.get(erasure)
    return answer.status_code == 200 and answer.json()["status"] == "done"


async def remains_removed(stack: LocalStack) -> None:
    """Those of tables that Kafka has whole go by themselves; the others are told of until a person removes them."""
    sql = "SELECT table, name FROM system.detached_parts WHERE table {} IN ('contact_overrides', 'contact_merges')"

    async def by_themselves() -> bool:
        return not await rows(stack, sql.format("NOT"))

    await eventually(by_themselves, "the remains of broken parts going", 120)
    client = await stack.database()
    async with stack.client() as http:
        left = await rows(stack, sql.format(""))
        assert ("contact_overrides", "broken-on-start") in {(table, part.partition("_")[0]) for table, part in left}
        for table, part in left:
            await eventually(partial(is_named, http, f"{table}: part {part}"), f"readiness naming {part}", 30)
        for table, part in left:
            await client.command(f"ALTER TABLE {table} DROP DETACHED PART '{part}' SETTINGS allow_drop_detached = 1")
        await eventually(partial(is_well, http), "readiness", 120)
    await client.close()


async def is_well(http: httpx.AsyncClient) -> bool:
    return "broken" not in (await http.get("/health/ready")).text


def damage(path: Path) -> None:
    """What writes leave that were under way when the last byte went, in all forms at once."""
    database = path / "metadata" / "headwater"
    for file in path.glob("store/*/*/mutation_*.txt"):
        file.write_bytes(b"")
    for table in ("events", "contact_overrides"):
        uuid = re.search(r"UUID '(\S+)'", (database / f"{table}.sql").read_text())
        assert uuid
        parts = list((path / "store" / uuid[1][:3] / uuid[1]).glob("all_*"))
        assert parts
        for part in parts:
            for file in part.glob("*.c*mrk*"):
                file.write_bytes(b"")
    (database / "contacts.sql").write_bytes((database / "contacts.sql").read_bytes()[:100])
    (path / "metadata.kept" / "metadata" / "headwater" / "contacts.sql").unlink()
