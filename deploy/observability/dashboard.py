"""The catalogue of metrics in; a Grafana dashboard with each of them, as JSON, out; pure.

`python -m deploy.observability.dashboard` prints `dashboard.json`; a test compares them.
"""

import json
from typing import Any

from schemas.service.metric import COUNTER, HISTOGRAM, Metric
from schemas.service.metrics import CATALOGUE

RANGE = "$__rate_interval"
WIDTH, HEIGHT = 8, 8
ACROSS = 24
OVERVIEW = (
    ("Events accepted", "cps", f'sum(rate(headwater_edge_events_total{{outcome="accepted"}}[{RANGE}]))'),
    (
        "Requests answered 503",
        "percentunit",
        (
            f'sum(rate(headwater_edge_requests_total{{outcome="unavailable"}}[{RANGE}]))'
            f" / sum(rate(headwater_edge_requests_total[{RANGE}]))"
        ),
    ),
    ("Oldest record owed", "s", "max by (stage) (headwater_stage_oldest_seconds)"),
    ("Processes that are not well", "short", "count(headwater_process_up == 0) or vector(0)"),
)
"""Title, unit, expression."""


def targets(metric: Metric) -> list[tuple[str, str]]:
    """Expressions with their legends: rates of counters, quantiles of histograms."""
    labels = list(metric.labels) or ["process"]
    by, legend = ", ".join(labels), " ".join(f"{{{{{label}}}}}" for label in labels)
    if metric.kind == HISTOGRAM:
        by = ", ".join(["le", *metric.labels])
        legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels)
        rates = f"sum by ({by}) (rate({metric.name}_bucket[{RANGE}]))"
        return [(f"histogram_quantile({q / 100:g}, {rates})", f"p{q} {legend}".strip()) for q in (50, 99)]
    if metric.kind == COUNTER:
        return [(f"sum by ({by}) (rate({metric.name}[{RANGE}]))", legend)]
    return [(f"max by ({by}) ({metric.name})", legend)]


def unit(metric: Metric) -> str:
    if metric.kind == COUNTER:
        return "short" if "_seconds_" in metric.name else "cps"
    return next((its for end, its in (("_seconds", "s"), ("_bytes", "bytes")) if metric.name.endswith(end)), "short")


def dashboard() -> dict[str, Any]:
    """Figures of the whole first, then a row for each kind of process."""
    panels: list[dict[str, Any]] = []
    y = _row(panels, "Overview", 0)
    for index, (title, its, expression) in enumerate(OVERVIEW):
        place = {"x": index * 6, "y": y, "w": 6, "h": 4}
        panels.append(_panel("stat", title, its, [(expression, "{{stage}}")], place=place))
    y += 4
    for of in dict.fromkeys(metric.of for metric in CATALOGUE):
        y = _row(panels, of[0].upper() + of[1:], y)
        metrics = [metric for metric in CATALOGUE if metric.of == of]
        for index, metric in enumerate(metrics):
            line, column = divmod(index, ACROSS // WIDTH)
            place = {"x": column * WIDTH, "y": y + line * HEIGHT, "w": WIDTH, "h": HEIGHT}
            text = f"{metric.meaning} {metric.remedy}"
            panels.append(_panel("timeseries", metric.name, unit(metric), targets(metric), place=place, text=text))
        y += -(-len(metrics) // (ACROSS // WIDTH)) * HEIGHT
    return {
        "uid": "headwater",
        "title": "Headwater",
        "tags": ["headwater"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def _row(panels: list[dict[str, Any]], title: str, y: int) -> int:
    """Where its panels begin."""
    panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": ACROSS, "h": 1}, "panels": []})
    return y + 1


def _panel(
    kind: str, title: str, its: str, expressions: list[tuple[str, str]], *, place: dict[str, int], text: str = ""
) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": its, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + index), "datasource": source, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(expressions)
        ],
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
