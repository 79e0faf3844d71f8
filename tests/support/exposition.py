"""Prometheus' text format in; its numbers by name and labels out."""

from prometheus_client.parser import text_string_to_metric_families


def numbers(text: str) -> dict[tuple[str, ...], float]:
    """Sample name and label values, without the process label's, in the order of the label names."""
    return {
        (s.name, *(value for label, value in sorted(s.labels.items()) if label != "process")): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def declared(text: str) -> list[str]:
    """Returns the names of the described metrics, in their order."""
    return [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]


def processes(text: str) -> set[str]:
    """Returns the processes with samples, by their label."""
    return {s.labels["process"] for family in text_string_to_metric_families(text) for s in family.samples}
