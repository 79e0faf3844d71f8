"""Settings in, a client of a ClickHouse that answers out."""

import asyncio
import logging
import math
import time
from importlib.resources import files
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas.errors import CannotStart
from schemas.service.clickhouse_auth import database_connection, read_database, read_settings_of
from schemas.settings import Settings

log = logging.getLogger(__name__)

WAIT_S = 60.0
FOREVER_S = math.inf
"""The patience of a process that has no work without the database."""
REMIND_S = 10.0
RETRY_S = 0.5
READ_LAYER = "views/all_shards"
"""The name in `_migrations` of the tables that read all shards."""
UNKNOWN = frozenset({60, 81})
"""ClickHouse's codes for a missing table and a missing database."""


class NoAnswerError(Exception):
    """The database does not answer in time."""


def address_of(settings: Settings) -> str:
    """ClickHouse's host and port, without the user and the password; pure."""
    return urlsplit(settings.clickhouse).netloc.rpartition("@")[2]


def code_of(error: Exception) -> int | None:
    """ClickHouse's code of a server's error; ``None`` of the driver's own, as where no host answers; pure."""
    code: int | None = getattr(error, "code", None)
    return code


async def _open(settings: Settings) -> AsyncClient:
    return await clickhouse_connect.get_async_client(**database_connection(settings), database="default")


async def connected(settings: Settings, within_s: float = WAIT_S) -> AsyncClient:
    """A client of a ClickHouse that answers; waits for a starting server, and logs that every ``REMIND_S``."""
    began = reminded = time.monotonic()
    where = address_of(settings)
    while True:
        try:
            async with asyncio.timeout(REMIND_S):
                return await _open(settings)
        except (ClickHouseError, TimeoutError) as error:
            now, reason = time.monotonic(), str(error)[:300] or "no answer"
            if now - began > within_s:
                raise NoAnswerError(f"ClickHouse at {where} does not answer: {reason}") from error
            if now - reminded > REMIND_S:
                reminded = now
                log.warning("waiting for ClickHouse at %s: %s", where, reason)
        await asyncio.sleep(RETRY_S if time.monotonic() - began > 1 else 0.05)


async def answers(settings: Settings, within_s: float) -> bool:
    """Whether a new connection gets an answer in time, which may be a refusal."""
    try:
        async with asyncio.timeout(within_s):
            await (await _open(settings)).close()
    except TimeoutError:
        return False
    except ClickHouseError as error:
        return code_of(error) is not None
    except CannotStart:  # a file of a password or certificate is away, which says nothing of the host
        return True
    return True


async def writing(settings: Settings, within_s: float = WAIT_S) -> AsyncClient:
    """Connects to the tables that the sink writes: with several shards, those of this host."""
    client = await connected(settings, within_s)
    client.database = settings.clickhouse_database
    return client


async def reading(settings: Settings, within_s: float = WAIT_S) -> AsyncClient:
    """Connects to the tables for reads: with several shards, those that read all shards."""
    client = await connected(settings, within_s)
    client.database = read_database(settings)
    for name, value in read_settings_of(settings).items():
        client.set_client_setting(name, value)
    return client


async def missing_migration(client: AsyncClient, settings: Settings) -> str:
    """Says what the tables lack of this release; empty if they are of this release or a later one."""
    names = {file.name for file in files("schemas").joinpath("clickhouse").iterdir() if file.name.endswith(".sql")}
    if settings.clickhouse_shards > 1:
        names.add(READ_LAYER)
    try:
        applied = await client.query(f"SELECT name FROM {settings.clickhouse_database}._migrations")  # noqa: S608 - checked name
    except ClickHouseError as error:
        return "it has no tables" if code_of(error) in UNKNOWN else str(error)[:300]
    missing = sorted(names - {name for (name,) in applied.result_rows})
    return f"{missing[0]} is not applied" if missing else ""


async def provisioned(client: AsyncClient, settings: Settings) -> None:
    """Waits until another process has migrated the tables to this release or a later one."""
    reminded = time.monotonic()
    while reason := await missing_migration(client, settings):
        if time.monotonic() - reminded > REMIND_S:
            reminded = time.monotonic()
            log.warning(
                "waiting for the tables of %s (python -m deploy.provision): %s", settings.clickhouse_database, reason
            )
        await asyncio.sleep(RETRY_S)


class Ping:
    """Pings ClickHouse with a client of its own, so that the ping does not wait for other queries."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None

    async def ask(self) -> None:
        """Raises ``ClickHouseError``; does not return while it is silent."""
        if self._client is None:
            self._client = await connected(self._settings, FOREVER_S)
        await self._client.query("SELECT 1")
