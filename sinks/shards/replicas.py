"""The replicas of a shard in; a writer to one of them, which moves when its own cannot store rows, out.

1. The first replica is preferred when the sink starts. A writer that has moved stays until its new replica fails.
2. It moves from a host that is silent, is read-only, has no room, or whose rows do not reach the other replicas, to
   one that has this release's tables.
3. The rows of an insert that failed are sent again: rows that come to both replicas collapse by the table's key.
4. Rows that one replica alone has may be lost with it. So a sink resumes behind the rows of its replica only when most
   replicas have each other's.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import NoAnswerError, Ping, address_of, answers, code_of, missing_migration, writing
from sinks.clickhouse.writer import TypedColumns, Writer
from sinks.maintenance.cluster import ANSWER_S, answering

log = logging.getLogger(__name__)
T = TypeVar("T")

LEFT_FOR = frozenset({243, 319})
"""ClickHouse's codes for a full disk, and for rows that did not reach most replicas in time."""
AWAY = frozenset({None, 81, 999})
"""Codes of a host that cannot take rows: without one it does not answer; its database or its Keeper is away."""
LEFT_S = 60.0
"""For so long the writer does not return to a host that it has left for one of ``LEFT_FOR``."""
PROBE_AFTER_S = 10.0
"""Seconds until the host of an unfinished call is probed; the driver would wait for 300 s."""
SYNC_S = 10.0
"""The wait for rows of other replicas; a failed wait is repeated."""
MOVE_AFTER_S = 30.0
"""Seconds without this release's tables until the writer looks whether another replica has them."""
SYNC = "SYSTEM SYNC REPLICA {table}"
_READ_ONLY = "SELECT count() FROM system.replicas WHERE database = currentDatabase() AND is_readonly"
"""A replica without its Keeper answers, and refuses inserts."""


class ReplicaWriter(Writer):
    """Writes to one replica of a shard at a time."""

    def __init__(self, replicas: Sequence[Settings], typed: TypedColumns | None = None) -> None:
        super().__init__(replicas[0], typed)
        self._replicas = replicas
        self._clients: dict[str, AsyncClient] = {}
        """By URL. A client that the writer left stays open, because other calls may be using it."""
        self._left_at: dict[str, float] = {}
        """By URL: when the writer left the host for one of ``LEFT_FOR``."""
        self._moving = asyncio.Lock()

    def hosts(self) -> list[Settings]:
        return [self._settings]

    async def start(self) -> None:
        self._settings = await answering(self._replicas)
        await super().start()
        self._clients[self._settings.clickhouse] = self._client

    async def wait_for_tables(self) -> None:
        """Returns when this release's tables are at the host in use, which may become another one."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(MOVE_AFTER_S):
                    return await super().wait_for_tables()
            async with self._moving:
                await self._move_if_unwritable()

    async def stop(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def watched(self, call: Awaitable[T]) -> T:
        """The result of a call; raises ``OperationalError`` if its host does not answer any more."""
        host, calling = self._settings, asyncio.ensure_future(call)
        try:
            while not (await asyncio.wait([calling], timeout=PROBE_AFTER_S))[0]:
                is_silent = not await answers(host, ANSWER_S)
                if is_silent and not calling.done() and self._settings is host:
                    raise OperationalError(f"{address_of(host)} does not answer any more")
            return calling.result()
        finally:
            if calling.cancel():
                await asyncio.wait([calling], timeout=ANSWER_S)  # its client may be closed after this

    async def sync(self, table: str) -> None:
        """Returns when most replicas have the rows of the others; raises ``OperationalError``."""
        if not self._settings.clickhouse_cluster:
            return
        synced = await asyncio.gather(*(self._synced(host, table) for host in self._replicas))
        if 2 * sum(synced) <= len(synced):
            raise OperationalError(f"{sum(synced)} of {len(synced)} replicas of {table} have the rows of the others")

    async def _synced(self, host: Settings, table: str) -> bool:
        client = await self._open_client(host)
        if client is None:
            return False
        try:
            async with asyncio.timeout(SYNC_S):
                await client.command(SYNC.format(table=table))
        except (ClickHouseError, TimeoutError) as error:
            log.warning("%s of ClickHouse at %s lacks rows of other replicas: %r", table, address_of(host), error)
            return False
        return True

    async def recover(self, failed: AsyncClient, error: Exception) -> None:
        """Moves to the next replica that can store rows, if this one cannot."""
        async with self._moving:
            if self._client is not failed:
                return  # calls fail together, and the first one has moved
            if code_of(error) in LEFT_FOR:
                self._left_at[self._settings.clickhouse] = time.monotonic()
                await self._move()
            else:
                await self._move_if_unwritable()

    async def _move_if_unwritable(self) -> None:
        if not await _is_writable(self._client):
            await self._move()

    async def _move(self) -> None:
        at = self._replicas.index(self._settings)
        here = address_of(self._settings)
        for host in (*self._replicas[at + 1 :], *self._replicas[:at]):
            if time.monotonic() < self._left_at.get(host.clickhouse, -math.inf) + LEFT_S:
                continue
            client = await self._open_client(host)
            if client is not None and await _is_writable(client) and not await _lacks_tables(client, host):
                log.warning("inserts move from ClickHouse at %s to %s", here, address_of(host))
                self._settings, self._client = host, client
                return
        log.warning("inserts stay at ClickHouse at %s: no other replica can take them", here)

    async def _open_client(self, host: Settings) -> AsyncClient | None:
        if host.clickhouse not in self._clients:
            try:
                self._clients[host.clickhouse] = await writing(host, ANSWER_S)
            except (NoAnswerError, CannotStart) as error:
                log.warning("%s", error)
                return None
        return self._clients[host.clickhouse]


class HostPings:
    """Pings each host that a writer uses now."""

    def __init__(self, hosts: Callable[[], Sequence[Settings]]) -> None:
        self._hosts = hosts
        self._pings: dict[str, Ping] = {}

    async def ask(self) -> None:
        """Raises ``ClickHouseError``; does not return while one of them is silent."""
        for host in self._hosts():
            await self._pings.setdefault(host.clickhouse, Ping(host)).ask()


async def _is_writable(client: AsyncClient) -> bool:
    """Whether the host answers, and has no table that is read-only; its disk may still be full."""
    try:
        async with asyncio.timeout(ANSWER_S):
            ((read_only,),) = (await client.query(_READ_ONLY)).result_rows
    except TimeoutError:
        return False
    except ClickHouseError as error:
        return code_of(error) not in AWAY
    return not read_only


async def _lacks_tables(client: AsyncClient, host: Settings) -> bool:
    try:
        async with asyncio.timeout(ANSWER_S):
            missing = await missing_migration(client, host)
    except TimeoutError:
        missing = "no answer"
    if missing:
        log.warning("ClickHouse at %s takes no inserts: %s", address_of(host), missing)
    return bool(missing)
