"""Prometheus' text in; its numbers by name and labels out."""

from prometheus_client.parser import text_string_to_metric_families


def numbers(text: str) -> dict[tuple[str, ...], float]:
    """Sample name and label values without the process's, in the order of their names."""
    return {
        (s.name, *(value for label, value in sorted(s.labels.items()) if label != "process")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def declared(text: str) -> list[str]:
    """The names of the metrics that it describes, in their order."""
    return [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]


def processes(text: str) -> set[str]:
    """Those that count, by the label of their samples."""
    return {s.labels["process"] for family in text_string_to_metric_families(text) for s in family.samples}
