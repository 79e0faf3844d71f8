"""Alert rules and the dashboard speak PromQL about metrics and labels of the catalogue alone, and about all of them."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.observability import dashboard
from schemas.service.metric import HISTOGRAM, Metric
from schemas.service.metrics import BY_NAME, CATALOGUE
from tests.support.services import ROOT

FOLDER = ROOT / "deploy" / "observability"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
PANELS = [panel for panel in dashboard.dashboard()["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"].replace(dashboard.RANGE, "5m") for panel in PANELS for target in panel["targets"]]


def selectors(expression: str) -> list[Any]:
    """The series that an expression asks for; raises ``ValueError`` where it is no PromQL."""
    panels: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            panels.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return panels


def metric_of(series: str) -> Metric:
    """Raises ``KeyError`` for a series that nothing exposes."""
    if series in BY_NAME and BY_NAME[series].kind != HISTOGRAM:
        return BY_NAME[series]
    name = re.fullmatch(r"(.+)_(?:bucket|count|sum)", series)
    metric = BY_NAME[name[1] if name else ""]
    if metric.kind != HISTOGRAM:
        raise KeyError(series)
    return metric


def labels_of(metric: Metric) -> set[str]:
    return {*metric.labels, "process", *(["le"] if metric.kind == HISTOGRAM else [])}


def grouped_by(expression: str) -> Iterator[str]:
    for names in re.findall(r"\bby \(([^)]*)\)", expression):
        yield from (name.strip() for name in names.split(","))


def check(expression: str) -> set[str]:
    """The metrics that it is about; asserts that each series, label and value is the catalogue's."""
    selected = selectors(expression)
    metrics = [metric_of(selector.name) for selector in selected]
    for selector, metric in zip(selected, metrics, strict=True):
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels_of(metric), expression
            if matcher.op == promql_parser.MatchOp.Equal and metric.labels.get(matcher.name):
                assert matcher.value in metric.labels[matcher.name], expression
    assert set(grouped_by(expression)) <= set.intersection(*map(labels_of, metrics)), expression
    return {metric.name for metric in metrics}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_it_means_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert re.fullmatch(r"Headwater[A-Za-z]+", rule["alert"])
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert "for" not in rule or promql_parser.parse_duration(rule["for"])
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "means", "do", "runbook"}
    assert all(notes.values())
    named = set(re.findall(r"\$labels\.(\w+)", notes["summary"]))
    assert named <= set.intersection(*(labels_of(metric_of(s.name)) for s in selectors(rule["expr"])))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_is_exposed(rule: dict[str, Any]) -> None:
    assert check(rule["expr"])
    # what was never installed is not missing
    assert "absent" not in rule["expr"]


def test_each_rule_leads_to_a_section() -> None:
    text = (ROOT / "deploy" / "README.md").read_text()
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert {rule["annotations"]["runbook"] for rule in RULES} <= anchors


def test_the_runbook_has_each_alert() -> None:
    notes = [(rule["alert"], rule["annotations"]) for rule in RULES]
    table = [f"| `{name}` | {note['means']} | {note['do']} |" for name, note in notes]
    assert "\n".join(table) in (ROOT / "deploy" / "README.md").read_text()


def test_alerts_have_names_of_their_own_and_stages_process_and_edge_each_have_some() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) == 17
    about = set().union(*(check(rule["expr"]) for rule in RULES))
    assert {BY_NAME[name].of for name in about} == {metric.of for metric in CATALOGUE}


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(",
        "headwater_edge_request_total",
        "headwater_edge_publish_ack_seconds",
        "headwater_sink_rows_total_bucket",
        'headwater_edge_requests_total{result="failed"}',
        'headwater_edge_requests_total{outcome="broken"}',
        "sum by (workspace) (headwater_edge_requests_total)",
    ],
)
def test_what_the_catalogue_has_not_is_found(wrong: str) -> None:
    with pytest.raises((KeyError, ValueError, AssertionError)):
        check(wrong)


def test_the_dashboard_is_the_generated_one() -> None:
    """`python -m deploy.observability.dashboard` prints what belongs there."""
    assert json.loads((FOLDER / "dashboard.json").read_text()) == dashboard.dashboard()
    assert (FOLDER / "dashboard.json").read_text() == dashboard.text()


def test_the_dashboard_shows_every_metric_and_nothing_else() -> None:
    shown = set().union(*(check(expression) for expression in EXPRESSIONS))
    assert shown == set(BY_NAME)


def test_panels_do_not_lie_over_each_other() -> None:
    panels = dashboard.dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for position, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart_x = position["x"] + position["w"] <= other["x"] or other["x"] + other["w"] <= position["x"]
        apart_y = position["y"] + position["h"] <= other["y"] or other["y"] + other["h"] <= position["y"]
        assert apart_x or apart_y
