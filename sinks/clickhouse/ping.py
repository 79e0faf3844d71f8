"""Settings in; whether ClickHouse answers a query, on request, out."""

from clickhouse_connect.driver.asyncclient import AsyncClient

from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, connected


class Ping:
    """A client of its own: the answer does not wait for what the others do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None

    async def ask(self) -> None:
        """Raises ``ClickHouseError``; does not return while it is silent."""
        if self._client is None:
            self._client = await connected(self._settings, FOREVER_S)
        await self._client.query("SELECT 1")
