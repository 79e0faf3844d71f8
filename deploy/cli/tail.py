"""`headwater tail` in; resolved events, their changes and quarantined records, as they arrive, out.

It reads the Kafka of this machine's stack, or of an option, without a group: other readers lose no records. During a
broker's outage it waits, and resumes at its position. With another address it uses the API.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import orjson
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from cachetools import FIFOCache

from deploy.cli.listen import seconds
from deploy.cli.tail_remote import tail_remote
from deploy.client.api import ApiRefusedError, ApiUnreachableError
from deploy.client.config import LOCAL, ConfigError, api_access
from deploy.client.output import print_json, printable
from deploy.client.session import OPTIONS, api, examples, run
from schemas import topics
from schemas.records import codec
from schemas.records.sameness import CHANGED, FIRST
from schemas.service.kafka import started
from schemas.service.kafka_auth import connection
from schemas.settings import Settings
from schemas.times import iso

EXAMPLES = examples(
    "headwater tail --since 10m --for 2s",
    "headwater tail --type order_completed --contact external_id:u1 --for 2s --json",
)
FOLLOWED = (topics.RESOLVED, topics.CHANGES, topics.QUARANTINE)
POLL_MS = 200
MOST_EVENTS = 10_000
"""Of which it is remembered that they were shown."""
SHOWN = 120
GAP_TEXTS = {
    "behind": "what came between the last row and now is not all known",
    "busy": "more comes than can be followed: choose by --type or --contact",
}
_QUARANTINED = ("topic", "partition", "offset", "event_id", "reason", "detail")

Type = Annotated[list[str] | None, typer.Option("--type", help="Events of this type alone. May be repeated.")]
Contact = Annotated[str, typer.Option(help="Of this contact: an id, or type:value as the event has it.")]
Workspace = Annotated[str, typer.Option(help="Of this workspace alone.")]
Since = Annotated[str, typer.Option(help="Begin earlier: 30s, 10m, 8h.")]
For = Annotated[str, typer.Option("--for", help="End by itself: 30s, 10m, 8h.")]


def add_to(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLES)(tail)


def tail(
    type_: Type = None, contact: Contact = "", workspace: Workspace = "", since: Since = "", for_: For = ""
) -> None:
    """Show events as they arrive, and their changes: of this machine's stack, or through the API of --url.

    Ctrl-C ends it. The API adds refused requests; of many rows a second it shows the first twenty.
    """
    options, settings = OPTIONS.get(), Settings()
    if options.url or (api_access(options).source != LOCAL and settings.embeds_kafka):
        _by_api(type_ or [], contact, workspace, since, for_)
        return
    selection = RowSelection(frozenset(type_ or ()), contact, workspace, options.environment or "")
    run(_tail(settings, selection, seconds(since) if since else 0.0, seconds(for_) if for_ else None))


def _by_api(types: list[str], contact: str, workspace: str, since: str, for_: str) -> None:
    if workspace:
        raise ConfigError("--workspace is for a tail beside Kafka: by the API a key reads its own workspace")
    if len(types) > 1:
        raise ConfigError("by the API --type takes one type")
    query = {"contact": contact, "type": next(iter(types), "")}
    parameters = {name: value for name, value in query.items() if value}
    length = seconds(for_) if for_ else None
    run(tail_remote(parameters, seconds(since) if since else 0.0, length, lambda row: _show(row, {})))


class RowSelection:
    """Selects the records to show."""

    def __init__(self, types: frozenset[str], contact: str, workspace: str, environment: str) -> None:
        self._types = types
        self._contact = contact
        self._workspace = workspace
        self._environment = environment
        self._events: FIFOCache[str, None] = FIFOCache(MOST_EVENTS)
        """Ids of events that were shown: their changes are shown too."""

    def rows(self, topic: topics.Topic, value: bytes) -> Iterator[dict[str, Any]]:
        """Converts one Kafka record to rows; an unreadable record is in quarantine, or will be."""
        try:
            if topic is topics.RESOLVED:
                yield from filter(None, map(self._event, codec.decode_events(value)))
            elif topic is topics.CHANGES:
                yield from filter(None, map(self._change, codec.decode_changes(value)))
            else:
                quarantined = codec.decode_quarantined(value)
                if self._here(quarantined["workspace"], ""):
                    shown = {name: value for name, value in quarantined.items() if name in _QUARANTINED}
                    yield {"kind": "quarantine", "at": iso(quarantined["at_ms"]), **shown}
        except codec.UndecodableError:
            return

    def _here(self, workspace: str, environment: str) -> bool:
        return (not self._workspace or workspace in (self._workspace, "")) and (
            not self._environment or environment in (self._environment, "")
        )

    def _event(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        pairs = [f"{identifier['type']}:{identifier['value']}" for identifier in event["identifiers"]]
        is_meant = not self._contact or self._contact in (*pairs, event["contact_id"])
        if (self._types and event["type"] not in self._types) or not is_meant:
            return None
        if not self._here(event["workspace"], event["environment"]):
            return None
        self._events[event["event_id"]] = None
        names = ("event_id", "type", "workspace", "environment", "contact_id", "source")
        row = {"kind": "event", "at": iso(event["received_ms"]), **{name: event[name] for name in names}}
        repeat = {"duplicate": event.get("repeat", FIRST) != FIRST, "conflict": event.get("repeat") == CHANGED}
        return row | {"identifiers": pairs, "properties": orjson.Fragment(event["properties"]), **repeat}

    def _change(self, change: Mapping[str, Any]) -> dict[str, Any] | None:
        if change["kind"] != "membership" or not self._here(change["workspace"], change["environment"]):
            return None
        caused = change.get("event_id", "")
        filtered = bool(self._types or self._contact)
        if filtered and caused not in self._events and change["contact_id"] != self._contact:
            return None
        row = {"kind": "entered" if change["member"] else "left", "at": iso(change["at_ms"])}
        return {**row, "segment_id": change["segment_id"], "contact_id": change["contact_id"], "event_id": caused}


async def _tail(settings: Settings, selection: RowSelection, since_s: float, for_s: float | None) -> None:
    parts = {
        TopicPartition(topics.name(topic, settings), number): topic
        for topic in FOLLOWED
        for number in range(topics.partition_count(topic, settings))
    }
    names = await _segment_names()
    consumer = await started(settings, lambda: AIOKafkaConsumer(**connection(settings), enable_auto_commit=False))
    until = None if for_s is None else time.monotonic() + for_s
    try:
        consumer.assign(list(parts))
        await _begin(consumer, list(parts), since_s)
        while until is None or time.monotonic() < until:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            records = [(parts[part], record.value) for part, many in fetched.items() for record in many]
            records.sort(key=lambda record: FOLLOWED.index(record[0]))  # events before their changes
            rows = [row for topic, value in records for row in selection.rows(topic, value)]
            for row in sorted(rows, key=lambda row: row["at"]):
                _show(row, names)
    finally:
        await consumer.stop()


async def _begin(consumer: AIOKafkaConsumer, parts: list[TopicPartition], since_s: float) -> None:
    await consumer.seek_to_end(*parts)
    if not since_s:
        return
    at_ms = int((time.time() - since_s) * 1000)
    for part, offset in (await consumer.offsets_for_times(dict.fromkeys(parts, at_ms))).items():
        if offset is not None:
            consumer.seek(part, offset.offset)


async def _segment_names() -> dict[str, str]:
    """Returns names by id; without them the rows show ids."""
    try:
        async with asyncio.timeout(3), api(patience=1) as client:
            return {segment["id"]: segment["name"] async for segment in client.listed("/v1/segments")}
    except (ApiRefusedError, ApiUnreachableError, ConfigError, TimeoutError):
        return {}


def _show(row: dict[str, Any], names: Mapping[str, str]) -> None:
    if OPTIONS.get().as_json:
        print_json(row)
        return
    at = dt.datetime.fromisoformat(row["at"]).astimezone()
    if row["kind"] == "event":
        who = row["identifiers"][0] if row["identifiers"] else "nobody"
        properties = row["preview"] if "preview" in row else orjson.dumps(row["properties"]).decode()
        properties = properties[:SHOWN]
        copy = "  CONFLICT, counted once" if row["conflict"] else "  duplicate" if row["duplicate"] else ""
        text = f"{row['type']:<24} {who}  {row['contact_id'] or '-'}  {properties}{copy}"
    elif row["kind"] == "quarantine":
        place = row["place"] if "place" in row else f"{row['topic']}/{row['partition']}/{row['offset']}"
        text = f"QUARANTINE {place}: {row['reason']} {row['detail']}"
    elif row["kind"] == "refused":
        what = "REFUSED" if row["item"] is None else "REFUSED ITEM"
        text = f"{what} {row['status']} {row['code']} {row['param'] or ''}  {row['message']}  {row['request']}"
    elif row["kind"] == "hidden":
        text = f"  gap: {row['rows']:,} more rows are not shown: choose by --type or --contact"
    elif row["kind"] == "gap":
        text = f"  gap: {GAP_TEXTS.get(row['reason'], row['reason'])}"
    elif row["kind"] == "lost":
        text = f"  connection lost ({row['reason']}): trying again"
    elif row["kind"] == "connected":
        text = f"  connected again after {row['seconds']:g} s, going on from the last row"
    else:
        segment = row.get("segment") or names.get(row["segment_id"], row["segment_id"])
        text = f"  {row['kind']} {segment}  {row['contact_id']}"
    print(printable(f"{at:%H:%M:%S}.{at.microsecond // 1000:03}  {text}"), flush=True)
