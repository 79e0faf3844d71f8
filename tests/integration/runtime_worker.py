"""Settings from the environment in; a worker that counts out, with a stage that is small enough to recount.

A value is JSON: ``{"keys": [...]}`` counts each key once per record, ``{"alarm": epoch ms}`` rings then,
``{"raise": 1}`` fails in the step. Every count goes to ``counted`` and, by key, into the table ``counts``.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush

import orjson

from processors.runtime.stage import InputRecord, OutputRecord, PartitionState, Rows
from processors.runtime.worker import run
from schemas.settings import Settings
from schemas.times import DAY_MS
from schemas.topics import Topic

APP = "counter"
COUNTS = "counts"
ALARM = b"alarm/"
NUMBERS = Topic(name="numbers", key="any", holds="what to count", retention_ms=DAY_MS)
KEPT = Topic(name="kept", key="any", holds="what to count, compacted", retention_ms=None)
COUNTED = Topic(name="counted", key="a counted key", holds="counts", retention_ms=DAY_MS)


class Counter:
    """Counts each key of each record once, however often the record is delivered."""

    app = APP
    inputs = (NUMBERS, KEPT)
    tables = (COUNTS,)

    def __init__(self) -> None:
        self.alarms: dict[int, list[tuple[int, bytes]]] = {}

    def process(self, records: Sequence[InputRecord], state: PartitionState, now_ms: int) -> Iterator[OutputRecord]:
        for record in records:
            value = orjson.loads(record.value or b"{}")  # a tombstone is no reason to stop
            if "raise" in value:
                raise ValueError("asked to")
            if "alarm" in value:
                key = ALARM + str(record.offset).encode()
                state.put(COUNTS, key, str(value["alarm"]).encode())
                heappush(self.alarms[record.partition], (value["alarm"], key))
            for name in value.get("keys", ()):
                key = name.encode()
                n, applied = orjson.loads(state.get(COUNTS, key) or b"[0, {}]")
                if record.offset > applied.get(record.topic, -1):
                    n, applied = n + 1, {**applied, record.topic: record.offset}
                    state.put(COUNTS, key, orjson.dumps([n, applied]))
                source = f"{record.topic}/{record.partition}/{record.offset}"
                yield OutputRecord(
                    COUNTED.name,
                    record.partition,
                    key,
                    orjson.dumps({"n": n, "of": source, "received": record.timestamp_ms, "at": now_ms}),
                )

    def on_timer(self, state: PartitionState, now_ms: int) -> Iterator[OutputRecord]:
        alarms = self.alarms[state.partition]
        while alarms and alarms[0][0] <= now_ms:
            due, key = heappop(alarms)
            state.put(COUNTS, key, None)
            yield OutputRecord(COUNTED.name, state.partition, key, orjson.dumps({"rang": due, "at": now_ms}))

    def next_timer(self, partition: int) -> int | None:
        alarms = self.alarms.get(partition)
        return alarms[0][0] if alarms else None

    def on_assigned(self, partition: int, rows: Callable[[str], Rows]) -> None:
        alarms = self.alarms[partition] = []
        for key, value in rows(COUNTS):
            if key.startswith(ALARM):
                heappush(alarms, (int(value), key))

    def on_revoked(self, partition: int) -> None:
        self.alarms.pop(partition, None)

    def has_work(self, _partition: int) -> bool:
        return False

    def on_idle(self, _state: PartitionState, _now_ms: int) -> Iterator[OutputRecord]:
        return iter(())


if __name__ == "__main__":
    run(Counter(), Settings())
