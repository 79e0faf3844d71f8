"""Parts that ClickHouse cannot read in; their topics read again from Kafka.

1. ClickHouse sets such a part aside at its start (``detached/broken-on-start_...``) and runs without its rows; this
   module sets aside a part that breaks later. The lost rows are unknown, so the sink reads all records that Kafka has
   of the table's topic again.
2. Records that Kafka no longer has do not come back that way. If Kafka has a topic from its beginning, nothing is
   missing afterwards and the remains are removed. Else they stay, and readiness names them until a person removes them.
3. An embedded database may also lose a table's definition: it is made again. In an external ClickHouse a person may
   have dropped the table, so only provisioning makes it again.
"""

import logging
from collections.abc import Collection
from functools import partial

from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError

from schemas import topics
from schemas.errors import ApiError, CannotStart
from schemas.retry import repeated
from schemas.settings import Settings
from schemas.times import iso
from sinks.clickhouse.connect import FOREVER_S, writing
from sinks.clickhouse.rereads import Rereads, encode, stream_of, streams_of
from sinks.ledger import accepted
from sinks.maintenance.broken_parts import ErrorWatch, put_aside
from sinks.maintenance.migrate import MigrationError
from sinks.maintenance.reread import ask_again, reach
from sinks.maintenance.restore import restore_missing

log = logging.getLogger(__name__)

LOOK_S = 5.0
RETRIED = (ClickHouseError, KafkaError, MigrationError, CannotStart)
BROKEN = (
    "SELECT table, name FROM system.detached_parts WHERE database = currentDatabase() AND"
    " (startsWith(ifNull(reason, ''), 'broken') OR concat(table, '/', name) IN {known:Array(String)})"
    " ORDER BY table, name"
)


class Mender:
    """Repairs broken parts and missing tables of an embedded or single database; runs in the first sink."""

    def __init__(self, settings: Settings, rereads: Rereads) -> None:
        self._settings = settings
        self._rereads = rereads
        self._errors = ErrorWatch()
        self._lost: dict[str, str] = {}
        """The rows that may be lost for good, as a text, by part."""

    async def check(self) -> None:
        """Raises ``ApiError`` as long as rows may be lost for good; the message names them."""
        if self._lost:
            raise ApiError("unavailable", "; ".join(self._lost.values()))

    async def run(self) -> None:
        """Run for ever; logs errors and retries."""
        client = await writing(self._settings, FOREVER_S)
        try:
            await repeated(partial(self._look, client), LOOK_S, RETRIED, _report)
        finally:
            await client.close()

    async def _look(self, client: AsyncClient) -> None:
        if not self._settings.clickhouse_url:
            for table in await restore_missing(self._settings, client):
                log.error("table %s is missing: recreating it from Kafka; older rows are lost", table)
        for table, part in await self._errors.unreadable(client):
            await self._put_aside(client, table, part)
        broken: dict[topics.Topic, list[tuple[str, str]]] = {}
        for table, part in (await client.query(BROKEN, {"known": sorted(self._rereads.parts())})).result_rows:
            if (stream := stream_of(table)) is not None:
                broken.setdefault(stream.topic, []).append((table, part))
        lost: dict[str, str] = {}
        for topic, parts in broken.items():
            lost |= await self._mend(client, topic, parts)
        self._lost = lost

    async def _put_aside(self, client: AsyncClient, table: str, part: str) -> None:
        """The request first: a crash in between leaves the part in use, and it is found again."""
        if (stream := stream_of(table)) is not None:
            name = f"{table}/{part}"
            log.error("broken while in use: %s; reading %s again", name, stream.topic.name)
            await self._ask_again(stream.topic, {table}, f"broken while in use: {name}", (name,))
            await put_aside(client, table, part)
        elif table == accepted.TABLE:  # its reader counts the rows again from Kafka
            await put_aside(client, table, part)

    async def _ask_again(
        self, topic: topics.Topic, tables: Collection[str], reason: str, parts: tuple[str, ...]
    ) -> None:
        """Requests that all topics that fill the tables are read again; ``topic`` comes last.

        Only the last request names the parts. Until it is on `control`, the next check finds the parts again and
        repeats all requests.
        """
        others = {stream.topic for table in tables for stream in streams_of(table)} - {topic}
        for source, named in [*((other, ()) for other in others), (topic, parts)]:
            self._rereads.apply(*encode(await ask_again(self._settings, source, reason, named)))

    async def _mend(self, client: AsyncClient, topic: topics.Topic, parts: list[tuple[str, str]]) -> dict[str, str]:
        """The possible permanent loss of each part, in words."""
        names = {f"{table}/{part}": (table, part) for table, part in parts}
        first, end, since_ms = await reach(self._settings, topic)
        span = ", ".join(f"{p}: {first[p]}-{end[p]}" for p in sorted(end) if end[p] > first[p])
        since = iso(since_ms) if since_ms is not None else "now"
        has_all = topic.retention_ms is not None and not any(first.values())
        fresh = tuple(name for name in names if name not in self._rereads.parts())
        if fresh:
            reason = f"broken at the start of ClickHouse: {', '.join(fresh)}"
            log.error("%s; reading %s again from %s on (offsets %s)", reason, topic.name, since, span)
            await self._ask_again(topic, {table for table, _ in parts}, reason, fresh)
            return {name: f"{name} is broken" for name in names}
        if has_all:
            for table, part in names.values():
                await client.command(
                    f"ALTER TABLE {table} DROP DETACHED PART {{part:String}} SETTINGS allow_drop_detached = 1",
                    {"part": part},
                )
            log.warning("all rows of %s are on %s: the remains are removed", ", ".join(names), topic.name)
            return {}
        return {
            name: f"{table}: part {part} broke; what Kafka has of {topic.name} is read again, from {since} on "
            f"(offsets {span}); older rows of it may be missing (deploy/README.md, Broken parts)"
            for name, (table, part) in names.items()
        }


def _report(error: Exception, pause_s: float) -> None:
    log.warning("looking for broken parts failed, retrying in %g s: %s", pause_s, str(error)[:300])
