"""A statement for one server in, the same for the hosts of a cluster out; and the settings of each host, by shards.

No statement runs ``ON CLUSTER``: each goes to each host by itself. So an unreachable host does not hold up the others,
and running the same again brings it up to date.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import CannotStart
from schemas.retry import retried
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, WAIT_S, NoAnswerError, address_of, connected, writing

log = logging.getLogger(__name__)

EVERYWHERE = frozenset(
    {
        *("contact_overrides", "contact_merges", "squashes", "quarantine", "quarantine_outcomes", "event_outcomes"),
        *("accepted", "segments", "campaigns", "webhooks", "event_types", "removals", "typed_columns"),
    }
)
"""Tables whose rows are on every shard: other tables are joined with them, or their rows belong to no contact."""

ANSWER_S = 5.0
ASK_AGAIN_S = (1.0, 10.0)
"""The first and the longest pause."""
_CREATE = re.compile(r"CREATE TABLE(?: IF NOT EXISTS)? (\w+)\.(\w+)")
_ENGINE = re.compile(r"^ENGINE = (\w*MergeTree)(?:\(([^)\n]*)\))?", re.MULTILINE)
_WINDOW = "non_replicated_deduplication_window = 10000"
_REPLICATED_WINDOW = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"
_HOSTS = (
    "SELECT DISTINCT shard_num, host_name FROM system.clusters WHERE cluster = {cluster:String}"
    " ORDER BY shard_num, host_name"
)


def replicated(statement: str, shards: int = 1) -> str:
    """Replaces the engine by its replicated kind; macros ``shard`` and ``replica`` complete the Keeper path; pure.

    A table of ``EVERYWHERE`` has one path for all ``shards``, and all hosts are its replicas.
    """
    table = _CREATE.search(statement)
    if table is None:
        return statement
    shard, replica = ("all", "{shard}-{replica}") if shards > 1 and table[2] in EVERYWHERE else ("{shard}", "{replica}")
    place = f"'/clickhouse/tables/{shard}/{table[1]}/{table[2]}', '{replica}'"

    def engine(match: re.Match[str]) -> str:
        return f"ENGINE = Replicated{match[1]}({place}{f', {match[2]}' if match[2] else ''})"

    return _ENGINE.sub(engine, statement).replace(_WINDOW, _REPLICATED_WINDOW)


async def shards_of(settings: Settings) -> list[list[Settings]]:
    """The settings of each host, by shards; without a cluster the one server's own.

    Raises ``CannotStart`` where ClickHouse does not know the cluster, or it has another number of shards, and
    ``NoAnswerError`` where it does not answer in time.
    """
    name, shards = settings.clickhouse_cluster, settings.clickhouse_shards
    if not name:
        if shards > 1:
            raise CannotStart(
                "HEADWATER_CLICKHOUSE_SHARDS needs HEADWATER_CLICKHOUSE_CLUSTER, the name of their cluster"
            )
        return [[settings]]
    hosts = await _hosts(settings)
    if not hosts:
        raise CannotStart(f"ClickHouse knows no cluster {name}: system.clusters names those that it knows")
    by_shard: dict[int, list[Settings]] = {}
    for shard, host in hosts:
        there = settings.model_copy(update={"clickhouse_url": at_host(settings.clickhouse, host)})
        by_shard.setdefault(shard, []).append(there)
    if len(by_shard) != shards:
        raise CannotStart(
            f"the cluster {name} has shards: {len(by_shard)}, and HEADWATER_CLICKHOUSE_SHARDS is {shards}; a row's"
            " shard follows from their number, so it is chosen before data is in"
        )
    return list(by_shard.values())


async def _hosts(settings: Settings) -> Sequence[Sequence[Any]]:
    """The number and the host of each shard of the cluster; raises ``NoAnswerError``."""
    try:
        async with await connected(settings) as client:
            found = await client.query(_HOSTS, {"cluster": settings.clickhouse_cluster})
    except ClickHouseError as error:
        where = address_of(settings)
        raise NoAnswerError(f"ClickHouse at {where} does not name its clusters: {str(error)[:300]}") from error
    return found.result_rows


async def wait_for_shards(settings: Settings) -> list[list[Settings]]:
    """``shards_of`` for a process that has no work without the database: it waits for the host that knows them."""

    def report(error: Exception, pause_s: float) -> None:
        log.warning("%s; it is asked again in %.1f s", error, pause_s)

    return await retried(partial(shards_of, settings), NoAnswerError, report, *ASK_AGAIN_S)


async def hosts_of(settings: Settings) -> list[Settings]:
    """The settings of each host of all shards; raises ``CannotStart`` and ``NoAnswerError``."""
    return [host for shard in await shards_of(settings) for host in shard]


async def answering(hosts: Sequence[Settings]) -> Settings:
    """The first replica of a shard that answers; waits for one."""
    while True:
        for host in hosts:
            try:
                async with await connected(host, ANSWER_S):
                    return host
            except NoAnswerError:
                continue


@asynccontextmanager
async def shard_clients(settings: Settings) -> AsyncIterator[list[AsyncClient]]:
    """A client of the tables of each shard, at its first replica that answers; waits for one."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(await writing(await answering(shard), FOREVER_S))
            for shard in await wait_for_shards(settings)
        ]


@asynccontextmanager
async def insert_clients(settings: Settings) -> AsyncIterator[list[AsyncClient]]:
    """A client of the tables of each shard, at the host where a starting sink begins; raises ``CannotStart``."""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(WAIT_S):
                if settings.clickhouse_shards > 1:
                    clients = await stack.enter_async_context(shard_clients(settings))
                else:
                    clients = [await stack.enter_async_context(await writing(settings))]
        except TimeoutError:
            raise CannotStart(f"a shard of {settings.clickhouse_cluster} has no replica that answers") from None
        yield clients


def at_host(url: str, host: str) -> str:
    """The same user, port and scheme at another host; pure."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    name = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}{at}{name}{port}"))


def refuse_cluster(settings: Settings, what: str, instead: str) -> None:
    """Raise ``CannotStart`` where tables lie on the hosts of a cluster."""
    if settings.clickhouse_cluster:
        raise CannotStart(f"{what} is not possible with HEADWATER_CLICKHOUSE_CLUSTER: {instead}")
