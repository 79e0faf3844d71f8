"""Keeps the ledger, and compares it with the stored events, for as long as the sink runs."""

import asyncio
from collections.abc import Iterator

from schemas.service.exposition import Sample
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, reading, writing
from sinks.ledger.accepted import AcceptedReader
from sinks.ledger.residual import Residual


class LedgerKeeper:
    """Keeps the ledger; runs in the first sink."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.residual = Residual()

    def samples(self) -> Iterator[Sample]:
        """Yields the residual once it is known; only the first of several sinks knows it."""
        if self.residual.events is not None:
            yield Sample("headwater_ledger_residual_events", (), self.residual.events)

    async def run(self) -> None:
        """Runs for ever; waits while the database or the broker is unavailable."""
        client, reader = await writing(self._settings, FOREVER_S), await reading(self._settings, FOREVER_S)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(AcceptedReader(self._settings).run(client))
                tasks.create_task(self.residual.run(reader))
        finally:
            await client.close()
            await reader.close()
