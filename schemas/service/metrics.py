"""The closed catalogue of metrics: name, type, labels with their values, meaning and remedy; pure.

Docs, alerts and dashboard are held to it. A label has few values, never a workspace; ``process`` is on all.
"""

from schemas.errors import STATUS
from schemas.service.metric import (
    ATTEMPTS,
    COUNTER,
    DIALECTS,
    EDGE,
    EVERY,
    GAUGE,
    HISTOGRAM,
    MOMENTS,
    PHASES,
    PIPELINE,
    QUARANTINE_METRICS,
    READ_TOPICS,
    READER,
    REQUEST_OUTCOMES,
    SINK,
    STACK,
    STAGES,
    TABLES,
    WEBHOOKS,
    WORKER,
    Metric,
)

_NAMED: dict[str, tuple[str, ...]] = {"process": ()}
"""Takes the place of the label that each sample has."""
_READ = {"stage": STAGES, "topic": READ_TOPICS}

CATALOGUE: tuple[Metric, ...] = (
    Metric(
        name="headwater_edge_requests_total",
        kind=COUNTER,
        of=EDGE,
        labels={"dialect": DIALECTS, "outcome": REQUEST_OUTCOMES},
        meaning="Requests to paths that take events, by what they were answered with.",
        remedy="`unavailable`: see `headwater_edge_publish_ack_seconds` and the broker; `failed`: the edge's log.",
    ),
    Metric(
        name="headwater_edge_refusals_total",
        kind=COUNTER,
        of=EDGE,
        labels={"dialect": DIALECTS, "reason": tuple(STATUS)},
        meaning="Refused requests, and refused events of requests that were accepted, by the code of the refusal.",
        remedy="The live view of the console shows the refused requests themselves.",
    ),
    Metric(
        name="headwater_edge_events_total",
        kind=COUNTER,
        of=EDGE,
        labels={"dialect": DIALECTS, "outcome": ("accepted", "refused")},
        meaning="Events: acknowledged, or refused within a request that was accepted.",
        remedy="Look at `headwater_edge_refusals_total` for the reason.",
    ),
    Metric(
        name="headwater_edge_publish_ack_seconds",
        kind=HISTOGRAM,
        of=EDGE,
        meaning="From handing a record of events to the producer until all replicas have it.",
        remedy="Slow disks or replicas of the broker; above `HEADWATER_PUBLISH_DEADLINE_S` clients get 503.",
    ),
    Metric(
        name="headwater_edge_inflight_bytes",
        kind=GAUGE,
        of=EDGE,
        meaning="Bytes of events that wait for Kafka's acknowledgement.",
        remedy="Near its limit the edge answers 503: look at the broker.",
    ),
    Metric(
        name="headwater_edge_inflight_limit_bytes",
        kind=GAUGE,
        of=EDGE,
        meaning="`HEADWATER_PUBLISH_BUFFER_BYTES`; one workspace fills half of it.",
        remedy="Raise the setting where bursts are larger and memory is there.",
    ),
    Metric(
        name="headwater_stage_records_total",
        kind=COUNTER,
        of=READER,
        labels={**_READ, "outcome": ("done", "quarantined")},
        meaning="Kafka's records that a stage has finished, up to 500 events each; refused rows count singly.",
        remedy="`quarantined`: `GET /v1/quarantine` has the bytes and the reason.",
    ),
    Metric(
        name="headwater_stage_oldest_seconds",
        kind=GAUGE,
        of=READER,
        labels=_READ,
        meaning="Age of the oldest record that was fetched and is not finished, by Kafka's record time; 0: none is.",
        remedy="Growing: the stage is too slow or waits. See its log, `make status`, `headwater_sink_holding`.",
    ),
    Metric(
        name="headwater_stage_latency_seconds",
        kind=HISTOGRAM,
        of=READER,
        labels=_READ,
        meaning="From a record's time in Kafka until everything that follows from it is durable.",
        remedy="Compare the stages: the one that grew is the one to look at.",
    ),
    Metric(
        name="headwater_stage_behind_records",
        kind=GAUGE,
        of=READER,
        labels=_READ,
        meaning="Records that are in Kafka and not finished, over the partitions that this process has.",
        remedy="Growing for minutes: add a worker, up to one a partition, or find what slows this one.",
    ),
    Metric(
        name="headwater_stage_seconds_total",
        kind=COUNTER,
        of=READER,
        labels={"stage": STAGES[:3], "phase": PHASES},
        meaning="Time of each activity, summed over partitions (sink: topics); `decide` is the stage's own code.",
        remedy="`decide` near 1: add a worker. `publish`, `commit`, `state`: the broker (sink: ClickHouse).",
    ),
    Metric(
        name="headwater_stage_partitions",
        kind=GAUGE,
        of=WORKER,
        labels={"stage": STAGES[:2], "state": ("open", "recovering")},
        meaning="Partitions that this worker works on, and those whose tables it still recovers.",
        remedy="`recovering` for long: its state is read from the changelog; a worker that kept its disk need not.",
    ),
    *QUARANTINE_METRICS,
    Metric(
        name="headwater_event_age_seconds",
        kind=HISTOGRAM,
        of=PIPELINE,
        labels={"at": MOMENTS},
        meaning="From the edge's receipt of an event until its contact, memberships, row or webhook is done.",
        remedy="p99 above half a second: `headwater_stage_latency_seconds` tells which stage takes it.",
    ),
    Metric(
        name="headwater_sink_rows_total",
        kind=COUNTER,
        of=SINK,
        labels={"table": TABLES},
        meaning="Rows that ClickHouse has acknowledged.",
        remedy="Standing still while events come: see `headwater_sink_holding`.",
    ),
    Metric(
        name="headwater_sink_insert_seconds",
        kind=HISTOGRAM,
        of=SINK,
        labels={"table": TABLES},
        meaning="Duration of an insert until it is stored, its repetitions included.",
        remedy="Slow disk, too many parts or merges: `system.merges`, `system.parts` of ClickHouse.",
    ),
    Metric(
        name="headwater_sink_errors_total",
        kind=COUNTER,
        of=SINK,
        labels={"kind": ("unavailable", "refused")},
        meaning="Calls that ClickHouse failed: tried again (`unavailable`), or its rows were refused (`refused`).",
        remedy="The sink's log says what ClickHouse said; refused rows stand in `GET /v1/quarantine`.",
    ),
    Metric(
        name="headwater_sink_holding",
        kind=GAUGE,
        of=SINK,
        meaning="1 while something is tried again because ClickHouse does not take it, else 0.",
        remedy="Nothing is lost: the lag waits in Kafka for 7 days. Look at ClickHouse and its disk.",
    ),
    Metric(
        name="headwater_ledger_residual_events",
        kind=GAUGE,
        of=SINK,
        meaning="Events of minutes that ended two minutes ago which are neither stored nor accounted for, or too many.",
        remedy="Compare the stages' `headwater_stage_oldest_seconds` first; `GET /v1/ledger` names minute and source.",
    ),
    Metric(
        name="headwater_webhook_attempts_total",
        kind=COUNTER,
        of=WEBHOOKS,
        labels={"outcome": ATTEMPTS},
        meaning="Requests to endpoints of webhooks by the class of the answer.",
        remedy="`GET /v1/webhooks/{id}/deliveries` shows each attempt with its answer.",
    ),
    Metric(
        name="headwater_webhook_deliveries_total",
        kind=COUNTER,
        of=WEBHOOKS,
        labels={"status": ("succeeded", "failed")},
        meaning="Deliveries that have ended: taken by the endpoint, or given up.",
        remedy="Have what failed sent again by `POST /v1/webhooks/{id}/deliveries/{delivery_id}/retry`.",
    ),
    Metric(
        name="headwater_webhook_attempt_seconds",
        kind=HISTOGRAM,
        of=WEBHOOKS,
        meaning="From sending a webhook's request to its answer, or to the end of waiting for one.",
        remedy="Slow endpoints hold up only themselves: ask their owners.",
    ),
    Metric(
        name="headwater_webhook_waiting",
        kind=GAUGE,
        of=WEBHOOKS,
        meaning="Deliveries that wait for an attempt, those of disabled endpoints and later retries included.",
        remedy="Growing: an endpoint fails or is slow; find it in the table `delivery_attempts`.",
    ),
    Metric(
        name="headwater_webhook_overdue_seconds",
        kind=GAUGE,
        of=WEBHOOKS,
        meaning="For how long the longest delay of a delivery of an enabled endpoint has lasted; 0: none is due.",
        remedy="An endpoint that fails is asked every 5 to 60 s, so its queue is overdue; mend or disable it.",
    ),
    Metric(
        name="headwater_process_up",
        kind=GAUGE,
        of=STACK,
        labels=_NAMED,
        meaning="1 for a process of this machine that is well, 0 for one that waits, is silent or keeps ending.",
        remedy="`make status` says why.",
    ),
    Metric(
        name="headwater_process_restarts_total",
        kind=COUNTER,
        of=STACK,
        labels=_NAMED,
        meaning="How often the supervisor had to start a process of this machine again.",
        remedy="The last line of the process's log has the reason.",
    ),
    Metric(
        name="headwater_disk_free_bytes",
        kind=GAUGE,
        of=EVERY,
        meaning="Free space where `HEADWATER_HOME` of this process lies.",
        remedy="Make room: the embedded ClickHouse stops writing at `HEADWATER_CLICKHOUSE_FLOOR_MIB`.",
    ),
    Metric(
        name="headwater_disk_size_bytes",
        kind=GAUGE,
        of=EVERY,
        meaning="Size of that file system.",
        remedy="-",
    ),
    Metric(
        name="process_start_time_seconds",
        kind=GAUGE,
        of=EVERY,
        meaning="When this process started, in seconds since 1970; it changes with each restart.",
        remedy="Changing often: the last line of the process's log has the reason.",
    ),
    Metric(
        name="process_cpu_seconds_total",
        kind=COUNTER,
        of=EVERY,
        meaning="Processor time that was used.",
        remedy="A worker near 1 second per second has no room left: add one.",
    ),
    Metric(
        name="process_resident_memory_bytes",
        kind=GAUGE,
        of=EVERY,
        meaning="Memory in use.",
        remedy="Compare with the README's figures.",
    ),
    Metric(
        name="process_virtual_memory_bytes",
        kind=GAUGE,
        of=EVERY,
        meaning="Memory that is mapped.",
        remedy="-",
    ),
    Metric(
        name="process_open_fds",
        kind=GAUGE,
        of=EVERY,
        meaning="Open files and sockets.",
        remedy="Near `process_max_fds` connections are refused: raise `ulimit -n`.",
    ),
    Metric(
        name="process_max_fds",
        kind=GAUGE,
        of=EVERY,
        meaning="Most files and sockets that may be open.",
        remedy="-",
    ),
)

BY_NAME = {metric.name: metric for metric in CATALOGUE}


def markdown_table() -> str:
    """The table of `deploy/README.md`; a test compares them."""
    rows = ["| metric | type, labels | of | meaning | what to do |", "|---|---|---|---|---|"]
    for metric in CATALOGUE:
        labels = "".join(f", `{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind}{labels} | {metric.of} | {metric.meaning} | {metric.remedy} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())  # noqa: T201 - this is the command that writes the table
