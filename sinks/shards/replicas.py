"""The replicas of a shard in; a writer to one of them, which moves when its own cannot store rows, out.

1. The first replica is preferred when the sink starts. A writer that has moved stays until its new replica fails.
2. It moves from a host that is silent, is read-only or has no room, to one that has this release's tables.
3. The rows of an insert that failed are sent again: rows that come to both replicas collapse by the table's key.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from schemas.settings import Settings
from sinks.clickhouse.connect import NoAnswerError, Ping, address_of, connected, unprovisioned, writing
from sinks.clickhouse.rows import Table
from sinks.clickhouse.writer import TypedColumns, Writer
from sinks.maintenance.cluster import ANSWER_S, answering

log = logging.getLogger(__name__)

NO_ROOM = frozenset({243, 252})
"""ClickHouse's codes for a full disk, and for more parts than it merges."""
LONG_INSERT_S = 10.0
"""After so long an insert's host is asked whether it still answers; the driver would wait for 300 s."""
LONG_START_S = 30.0
_READ_ONLY = "SELECT count() FROM system.replicas WHERE database = currentDatabase() AND is_readonly"
"""A replica without its Keeper answers, and refuses inserts."""


class ReplicaWriter(Writer):
    """Writes to one replica of a shard at a time."""

    def __init__(self, replicas: Sequence[Settings], typed: TypedColumns | None = None) -> None:
        super().__init__(replicas[0], typed)
        self._replicas = replicas
        self._clients: dict[str, AsyncClient] = {}
        """By URL. A client that the writer left stays open, because other calls may be using it."""
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
                async with asyncio.timeout(LONG_START_S):
                    return await super().wait_for_tables()
            async with self._moving:
                await self._leave_if_unable()

    async def stop(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def recover(self, failed: AsyncClient, error: Exception) -> None:
        """Moves to the next replica that can store rows, if this one cannot."""
        async with self._moving:
            if self._client is not failed:
                return  # calls fail together, and the first one has moved
            if getattr(error, "code", None) in NO_ROOM:
                await self._move()
            else:
                await self._leave_if_unable()

    async def _leave_if_unable(self) -> None:
        if not await _is_writable(self._client):
            await self._move()

    async def _move(self) -> None:
        at = self._replicas.index(self._settings)
        for host in (*self._replicas[at + 1 :], *self._replicas[:at]):
            client = await self._client_of(host)
            if client is not None and await _is_writable(client) and not await _lacks_tables(client, host):
                log.warning("inserts move from ClickHouse at %s to %s", address_of(self._settings), address_of(host))
                self._settings, self._client = host, client
                return

    async def _client_of(self, host: Settings) -> AsyncClient | None:
        if host.clickhouse not in self._clients:
            try:
                self._clients[host.clickhouse] = await writing(host, ANSWER_S)
            except NoAnswerError:
                return None
        return self._clients[host.clickhouse]

    async def _insert(self, table: Table, columns: list[list[Any]]) -> None:
        host, inserting = self._settings, asyncio.ensure_future(super()._insert(table, columns))
        try:
            while not (await asyncio.wait([inserting], timeout=LONG_INSERT_S))[0]:
                if await _is_silent(host):
                    raise OperationalError(f"{address_of(host)} does not answer any more")
            inserting.result()
        finally:
            inserting.cancel()


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
    except (ClickHouseError, TimeoutError):
        return False
    return not read_only


async def _lacks_tables(client: AsyncClient, host: Settings) -> bool:
    try:
        async with asyncio.timeout(ANSWER_S):
            return bool(await unprovisioned(client, host))
    except TimeoutError:
        return True


async def _is_silent(host: Settings) -> bool:
    """Whether the host takes no connection of ours and answers none."""
    try:
        async with asyncio.timeout(ANSWER_S):
            await (await connected(host, ANSWER_S)).close()
    except (NoAnswerError, TimeoutError):
        return True
    return False
