"""The sink's consumer and writer in; its stored and its pending records, by topic and table, as metrics out."""

import time
from collections.abc import Iterator

from schemas.service.exposition import Sample, Source
from schemas.service.metric import MOMENT_OF, PHASES, TABLES
from sinks.clickhouse.consumer import ClickHouseConsumer
from sinks.clickhouse.streams import STREAMS

STAGE = "clickhouse"
NAME = "clickhouse-sink"


def source_of(consumer: ClickHouseConsumer) -> Source:
    """Reads the numbers of a sink, without requests."""

    def samples() -> Iterator[Sample]:
        counts = consumer.writer.counts
        for table in TABLES:
            yield Sample("headwater_sink_rows_total", (table,), counts.rows[table])
            yield Sample("headwater_sink_insert_seconds", (table,), counts.inserts[table])
        for kind in ("unavailable", "refused"):
            yield Sample("headwater_sink_errors_total", (kind,), counts.errors[kind])
        yield Sample("headwater_sink_holding", (), float(consumer.writer.is_holding))
        for topic in (stream.topic.name for stream in STREAMS):
            for outcome in ("done", "quarantined"):
                done = counts.records[topic, outcome]
                yield Sample("headwater_stage_records_total", (STAGE, topic, outcome), done)
            yield Sample("headwater_stage_latency_seconds", (STAGE, topic), counts.latency[topic])
        for phase in PHASES:
            yield Sample("headwater_stage_seconds_total", (STAGE, phase), counts.seconds[phase])
        yield Sample("headwater_event_age_seconds", (MOMENT_OF[STAGE],), counts.event_age)
        yield from _owed(consumer)

    return samples


def _owed(consumer: ClickHouseConsumer) -> Iterator[Sample]:
    """Empty while partitions are being assigned: the lag is unknown then."""
    session = consumer.session
    if session is None:
        return
    for inserter in session.inserters.values():
        topic = inserter.topic
        oldest_ms = inserter.oldest_ms
        age = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        yield Sample("headwater_stage_oldest_seconds", (STAGE, topic), age)
        behind = sum(
            max(0, (consumer.consumer.highwater(tp) or 0) - inserter.place(tp.partition))
            for tp in session.assigned & consumer.consumer.assignment()
            if tp.topic == inserter.topic_on_cluster
        )
        yield Sample("headwater_stage_behind_records", (STAGE, topic), behind)
