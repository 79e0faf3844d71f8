"""An assignment in; its tables complete, its positions rewound and its partitions open out.

Recovery itself stays Faust's. Answers, in ``faust/tables``:

* ``TableManager.on_start`` sleeps a second before anything is subscribed.
* ``Recovery.on_recovery_completed`` seeks while records flow: records between the seek and
  ``flow_control.resume`` is cleared out of the buffers, and nothing seeks back.
* ``Recovery.need_recovery`` waits for a record at the last offset of a changelog. If there is none (a
  transaction's marker, a compacted tail) it waits for ever.
* A store that is ahead of its changelog goes unnoticed when that holds one record or none.
"""

# ruff: noqa: SLF001 - Faust and aiokafka offer no other way in; what is reached for is pinned by version

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from faust.exceptions import ConsistencyError
from faust.tables.manager import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery

from processors.runtime.client import QUIET

DRY_S = 1.0
"""A changelog has no more records once its end was fetched this long ago and the buffers are empty."""


class Recovery(FaustRecovery):  # type: ignore[misc]  # Faust publishes no types
    logger = QUIET
    opened: Callable[[], None]
    """Called with the positions right and no record on its way; from here on records flow."""
    settled: Callable[[], None]

    def need_recovery(self) -> bool:
        behind = [tp for tp, left in self.active_remaining().items() if left > 0]
        if not behind:
            return False
        consumer = self.app.consumer
        if not self.tables.changelog_queue.empty() or time.monotonic() - consumer.delivered_at < DRY_S:
            return True
        positions = [(consumer._thread.position(tp), self.active_highwaters[tp]) for tp in behind]
        return any(position is None or position <= last for position, last in positions)

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        await super()._build_offsets(consumer, tps, destination, title)
        for tp in tps if title == "active" else ():
            if destination[tp] > self.active_highwaters[tp]:
                raise ConsistencyError(
                    f"the store of {tp} has offset {destination[tp]}, "
                    f"its changelog ends at {self.active_highwaters[tp]}"
                )

    async def _resume_streams(self, generation_id: int = 0) -> None:
        await self.on_recovery_completed(generation_id)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        app, consumer = self.app, self.app.consumer
        revocations = consumer.revocations
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        for table in self.tables.values():
            await table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
        consumer.stop_flow()
        app.flow_control.suspend()
        changelogs = {tp for tp in consumer.assignment() if self._is_changelog_tp(tp)}
        await self._bounded(consumer._thread.rest(changelogs))
        await self._bounded(consumer.perform_seek())
        if consumer.revocations != revocations or app.consumer_generation_id != generation_id:
            return  # the next rebalance has begun; it ends here again
        # No await from here.
        self.opened()
        consumer.pause_partitions(changelogs)
        consumer.resume_partitions(set(consumer.trackers))
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        await app._fetcher.maybe_start()
        self.settled()

    async def _bounded(self, call: Awaitable[None]) -> None:
        await self._wait(asyncio.ensure_future(call), timeout=self.app.conf.broker_request_timeout)


class TableManager(FaustTableManager):  # type: ignore[misc]
    logger = QUIET
    _recovery: Recovery | None

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
