"""A ClickHouse in; findings on its tables, delayed mutations and detached parts out."""

import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from deploy.cli.doctor.check import Check, Finding, Patient, fail, ok, warn
from sinks.maintenance.layout import made
from sinks.maintenance.migrate import migrations

SKEW_MS = 2000
MOST_PARTS, MOST_LOG_BYTES = 300, 5 << 30
FAILING_SHARE = 0.2
PROVISION = "python -m deploy.provision"


async def rows(patient: Patient, sql: str) -> list[list[Any]]:
    """Returns rows; raises ``RuntimeError`` with the database's error."""
    parts = urlsplit(patient.settings.clickhouse)
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    login = aiohttp.BasicAuth(parts.username, parts.password or "") if parts.username else None
    query = {"database": patient.settings.clickhouse_database, "default_format": "JSONCompact"}
    async with (
        aiohttp.ClientSession(auth=login) as session,
        session.get(url, params={**query, "query": sql}, timeout=aiohttp.ClientTimeout(total=10)) as answer,
    ):
        raw = await answer.read()
        if answer.status != 200:
            raise RuntimeError(raw.decode(errors="replace")[:300])
    data: list[list[Any]] = orjson.loads(raw)["data"]
    return data


async def answers(patient: Patient) -> Finding:
    began = time.monotonic()
    ((version,),) = await rows(patient, "SELECT version()")
    return ok(f"ClickHouse {version}, {(time.monotonic() - began) * 1000:.0f} ms")


async def writes(patient: Patient) -> Finding:
    """Checks free space: the embedded database refuses writes below its floor."""
    if not patient.has_own_clickhouse:
        ((free,),) = await rows(patient, "SELECT min(free_space) FROM system.disks WHERE total_space > 0")
        text = f"{int(free) >> 20:,} MiB free on its fullest disk"
        return ok(text) if int(free) >> 30 else fail(text, "look at system.disks")
    url = f"http://127.0.0.1:{patient.settings.clickhouse_port}/health"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        state = orjson.loads(await answer.read())
    return ok("it writes") if answer.status == 200 else fail(state["reason"], f"df -h {patient.home.path}")


async def clock(patient: Patient) -> Finding:
    before = time.time()
    ((now,),) = await rows(patient, "SELECT toUnixTimestamp64Milli(now64(3))")
    skew = int(now) - int((before + time.time()) / 2 * 1000)
    text = f"{skew:+,} ms beside this machine's"
    return ok(text) if abs(skew) < SKEW_MS else warn(text, "timedatectl set-ntp true")


async def tables(patient: Patient) -> Finding:
    there = {
        name for (name,) in await rows(patient, "SELECT name FROM system.tables WHERE database = currentDatabase()")
    }
    missing = sorted(made() - there)
    if missing:
        return fail(f"not there: {', '.join(missing[:5])}", PROVISION)
    return ok(f"all {len(made())} tables and views are there")


async def applied(patient: Patient) -> Finding:
    """Compares each file of the schema by its digest."""
    sql = "SELECT name, argMax(digest, applied_at) FROM _migrations GROUP BY name"
    digests: dict[str, str] = dict(await rows(patient, sql))
    for migration in migrations():
        if migration.name not in digests or (migration.is_view and digests[migration.name] != migration.digest):
            return fail(f"{migration.name} was not applied", PROVISION)
        if digests[migration.name] != migration.digest:
            return fail(
                f"{migration.name} is another than the one that was applied", "pip install --force-reinstall headwater"
            )
    later = sorted(digests.keys() - {migration.name for migration in migrations()})
    if later:
        return warn(f"the database knows {later[-1]}, this version does not", "pip install --upgrade headwater")
    return ok(f"{len(digests)} files, as they are here")


async def broken_parts(patient: Patient) -> Finding:
    sql = (
        "SELECT table, name FROM system.detached_parts WHERE database = currentDatabase()"
        " AND startsWith(ifNull(reason, ''), 'broken') ORDER BY table, name"
    )
    broken = await rows(patient, sql)
    if not broken:
        return ok("none was put aside")
    table, name = broken[0]
    mend = f"ALTER TABLE {table} DROP DETACHED PART '{name}' SETTINGS allow_drop_detached = 1"
    return fail(f"{len(broken)} of {table} cannot be read; the sink reads them again from Kafka", mend)


async def mutations(patient: Patient) -> Finding:
    sql = (
        "SELECT table, latest_fail_reason, dateDiff('second', create_time, now()) FROM system.mutations"
        " WHERE database = currentDatabase() AND NOT is_done ORDER BY create_time"
    )
    unfinished = await rows(patient, sql)
    stuck = [row for row in unfinished if row[1] or int(row[2]) > 600]
    if stuck:
        table, reason, age = stuck[0]
        return warn(
            f"{table}: not done after {age} s {reason[:150]}", "SELECT * FROM system.mutations WHERE NOT is_done"
        )
    return ok(f"{len(unfinished)} under way")


async def parts(patient: Patient) -> Finding:
    sql = (
        "SELECT table, count() AS n FROM system.parts WHERE database = currentDatabase() AND active"
        " GROUP BY table ORDER BY n DESC LIMIT 1"
    )
    counts = await rows(patient, sql)
    if counts and int(counts[0][1]) > MOST_PARTS:
        table, count = counts[0]
        return warn(f"{table} is in {count} parts: merges do not keep up", "export HEADWATER_BLOCK_MS=1000")
    return ok(f"at most {counts[0][1] if counts else 0} of one table")


async def rebuilds(patient: Patient) -> Finding:
    sql = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '_before_')"
    tables = await rows(patient, sql)
    if tables:
        table = str(tables[0][0]).removeprefix("_before_")
        return warn(f"the rebuilding of {table} was cut off", f"{PROVISION} --rebuild {table}")
    return ok("none was cut off")


async def quarantine(patient: Patient) -> Finding:
    sql = (
        "SELECT topic, reason, count() AS n FROM quarantine WHERE at > now() - INTERVAL 1 DAY"
        " GROUP BY ALL ORDER BY n DESC"
    )
    counts = await rows(patient, sql)
    if counts:
        topic, reason, _ = counts[0]
        total = sum(int(row[2]) for row in counts)
        return warn(f"{total:,} records in a day, most of {topic}: {reason}", "headwater quarantine list")
    return ok("nothing in a day")


async def webhooks(patient: Patient) -> Finding:
    sql = (
        "SELECT webhook_id, countIf(response_code NOT BETWEEN 200 AND 299) AS bad, count() AS n, anyLast(error)"
        " FROM delivery_attempts WHERE at > now() - INTERVAL 1 HOUR GROUP BY webhook_id ORDER BY bad DESC LIMIT 1"
    )
    failed = await rows(patient, sql)
    if failed and int(failed[0][1]) >= FAILING_SHARE * int(failed[0][2]) and int(failed[0][1]):
        webhook, bad, count, error = failed[0]
        mend = f'curl -H "Authorization: Bearer $HEADWATER_KEY" {patient.access.url}/v1/webhooks/{webhook}/deliveries'
        return warn(f"{webhook}: {bad} of {count} requests in an hour failed {str(error)[:100]}".rstrip(), mend)
    return ok("none fails")


async def system_logs(patient: Patient) -> Finding:
    sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'system' AND active"
    size = int((await rows(patient, sql))[0][0] or 0)
    text = f"{size >> 20:,} MiB"
    return warn(text, "TRUNCATE TABLE system.query_log") if size > MOST_LOG_BYTES else ok(text)


CHECKS = (
    Check("database", "reads come from it; while it is away rows wait in Kafka", answers),
    Check("database's disk", "below its floor it writes nothing", writes),
    Check("database's clock", "queries do not find rows of another hour", clock),
    Check("tables", "a sink without its table holds everything up", tables, PROVISION),
    Check("schema", "rows go into columns that there have to be", applied, PROVISION),
    Check("broken parts", "their rows are not read", broken_parts),
    Check("mutations", "an erasure waits for them", mutations),
    Check("parts", "too many slow each read, and then each insert is refused", parts),
    Check("rebuilds", "until it is done a table shows less than there is", rebuilds),
    Check("quarantine", "what could not be processed waits there for 30 days", quarantine),
    Check("webhooks", "an endpoint that fails is asked rarely, so its messages come late", webhooks),
    Check("system logs", "ClickHouse's own logs grow without bound", system_logs),
)
