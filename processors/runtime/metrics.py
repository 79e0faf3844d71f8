"""A worker's executor and trackers in; its finished and its pending work, by topic, as metrics out."""

import time
from collections.abc import Iterator
from typing import Any

from processors.runtime.app import Runtime
from schemas.service.exposition import Sample, Source
from schemas.service.metric import MOMENT_OF, PHASES


def stage_name(app: str) -> str:
    """Returns the stage's name in the catalogue of metrics."""
    return app.removeprefix("headwater-")


def source_of(runtime: Runtime) -> Source:
    """Reads the numbers that a worker keeps; calls no other process."""
    stage = stage_name(runtime.stage.app)
    topics = [topic.name for topic in runtime.stage.inputs]

    def samples() -> Iterator[Sample]:
        counts, consumer, prefix = runtime.executor.counts, runtime.app.consumer, runtime.settings.topic_prefix
        for phase in PHASES:
            yield Sample("headwater_stage_seconds_total", (stage, phase), counts.seconds[phase])
        yield Sample("headwater_event_age_seconds", (MOMENT_OF[stage],), counts.event_age)
        for topic in topics:
            for outcome in ("done", "quarantined"):
                done = counts.records[topic, outcome]
                yield Sample("headwater_stage_records_total", (stage, topic, outcome), done)
            yield Sample("headwater_stage_latency_seconds", (stage, topic), counts.latency[topic])
            trackers = {tp: tracker for tp, tracker in consumer.trackers.items() if tp.topic == prefix + topic}
            times = [tracker.oldest_ms for tracker in trackers.values()]
            age = max((time.time() - at / 1000 for at in times if at is not None), default=0.0)
            yield Sample("headwater_stage_oldest_seconds", (stage, topic), max(0.0, age))
            behind = sum(max(0, _end(consumer, tp) - tracker.committable) for tp, tracker in trackers.items())
            yield Sample("headwater_stage_behind_records", (stage, topic), behind)
        assigned = {tp.partition for tp in consumer.trackers}
        is_open = len(runtime.executor.tasks)
        yield Sample("headwater_stage_partitions", (stage, "open"), is_open)
        yield Sample("headwater_stage_partitions", (stage, "recovering"), max(0, len(assigned) - is_open))

    return samples


def _end(consumer: Any, tp: Any) -> int:
    """The partition's end as of the last fetch; 0 without a fetch, or if the partition was just revoked."""
    try:
        return consumer._thread.highwater(tp) or 0  # noqa: SLF001 - Faust's own way is a question to its thread
    except Exception:  # noqa: BLE001 - the client asserts that a partition is assigned
        return 0
