"""Metrics of a machine's processes, from `GET /metrics`, in; a line for each process out; pure."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(slots=True)
class ProcessRow:
    """A process's usage and backlog; ``None`` for a missing metric."""

    name: str
    is_up: bool | None = None
    restarts: int | None = None
    memory: float | None = None
    """Bytes in use."""
    cpu_s: float | None = None
    """Since its start."""
    started: float | None = None
    """Seconds since 1970."""
    oldest_s: float | None = None
    """Age of the oldest record that it owes, over its topics."""
    behind: int | None = None
    """Records that are in Kafka and not done."""


def rows_of(text: str) -> list[ProcessRow]:
    """Returns the rows in the order of their names."""
    rows: dict[str, ProcessRow] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if name := sample.labels.get("process"):
                _take(rows.setdefault(name, ProcessRow(name)), sample.name, sample.value)
    return [rows[name] for name in sorted(rows)]


def _take(row: ProcessRow, name: str, value: float) -> None:
    match name:
        case "headwater_process_up":
            row.is_up = bool(value)
        case "headwater_process_restarts_total":
            row.restarts = int(value)
        case "process_resident_memory_bytes":
            row.memory = value
        case "process_cpu_seconds_total":
            row.cpu_s = value
        case "process_start_time_seconds":
            row.started = value
        case "headwater_stage_oldest_seconds":
            row.oldest_s = max(row.oldest_s or 0.0, value)
        case "headwater_stage_behind_records":
            row.behind = (row.behind or 0) + int(value)
