"""The replicas of a shard in; a writer to one of them, which moves when its own is silent or read-only, out.

1. The first replica is preferred when the sink starts. A writer that has moved stays until its new replica fails.
2. The rows of an insert that failed are looked up at the new replica, and sent again if it has not got them: rows that
   come to both collapse by the table's key.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.settings import Settings
from sinks.clickhouse.connect import NoAnswerError, Ping, address_of, writing
from sinks.clickhouse.writer import TypedColumns, Writer
from sinks.maintenance.cluster import ANSWER_S, answering

log = logging.getLogger(__name__)

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

    async def stop(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def recover(self) -> None:
        """Moves to the next writable replica, if this one is not writable."""
        async with self._moving:  # calls fail together, and the first one moves
            if await _is_writable(self._client):
                return
            at = self._replicas.index(self._settings)
            for host in (*self._replicas[at + 1 :], *self._replicas[:at]):
                client = await self._client_of(host)
                if client is not None and await _is_writable(client):
                    here, there = address_of(self._settings), address_of(host)
                    log.warning("inserts move from ClickHouse at %s to %s", here, there)
                    self._settings, self._client = host, client
                    return

    async def _client_of(self, host: Settings) -> AsyncClient | None:
        if host.clickhouse not in self._clients:
            try:
                self._clients[host.clickhouse] = await writing(host, ANSWER_S)
            except NoAnswerError:
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
    except (ClickHouseError, TimeoutError):
        return False
    return not read_only
