"""The accepted cost of an event in; the needs of a rate of events out: the table of deploy/README.md; pure.

`python -m tests.bench.capacity` writes it. A process has one core and uses at most ``BUSY`` of it. Each process runs at
least once; a stage has at most one worker per partition.
"""

from math import ceil
from typing import Any

from tests.bench import compare

RATES = (1_000, 10_000, 100_000, 1_000_000)
"""Events a second, in batches."""
BUSY = 0.6
"""Of a core: the rest is for bursts, merges and the time after a restart."""
PROCESSES = {"ingest": "edges", "identity": "identity", "segments": "segments", "clickhouse-sink": "sinks"}
"""Processes of which there may be several, as the table names them."""
MB = {"ingest": 90, "identity": 130, "segments": 130, "clickhouse-sink": 170}
"""Of memory each takes after a hundred thousand events at once; a core of the services is told by their own papers."""
SERVICES = ("kafka", "clickhouse")
FEWEST_PARTITIONS = 4


def needs(rate: int, us: dict[str, int]) -> dict[str, Any]:
    """Returns the processes for a rate; ``us`` is the CPU µs of an event in each process."""
    cores = {name: rate * us[name] / 1e6 for name in (*PROCESSES, *SERVICES)}
    counts = {name: max(1, ceil(cores[name] / BUSY)) for name in PROCESSES}
    return {
        **{label: counts[name] for name, label in PROCESSES.items()},
        **{f"{name} cores": max(1, ceil(cores[name] / BUSY)) for name in SERVICES},
        "cores in all": sum(counts.values()) + sum(max(1, ceil(cores[name] / BUSY)) for name in SERVICES),
        "GB of processes": round(sum(counts[name] * MB[name] for name in PROCESSES) / 1000, 1),
        "partitions": max(FEWEST_PARTITIONS, *(counts[name] for name in PROCESSES if name != "ingest")),
    }


def table(figures: compare.Figures) -> str:
    """Returns the README's table: a row for each rate."""
    us = figures["event of a batch"]["cpu_us_each"]
    rows = [needs(rate, us) for rate in RATES]
    head = ["events/s", *rows[0]]
    lines = [
        head,
        ["---"] * len(head),
        *([f"{rate:,}", *map(str, row.values())] for rate, row in zip(RATES, rows, strict=True)),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def costs(figures: compare.Figures) -> str:
    """Returns the README's sentence with the figures behind the table."""
    us = figures["event of a batch"]["cpu_us_each"]
    return ", ".join(f"{name} {us[name]}" for name in (*PROCESSES, *SERVICES))


if __name__ == "__main__":
    print(f"{costs(compare.read(compare.ACCEPTED))}\n\n{table(compare.read(compare.ACCEPTED))}")
