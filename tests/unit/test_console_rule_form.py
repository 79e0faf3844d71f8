"""A rule and the form that says the same lead to each other; what a form cannot say is left to JSON."""

from typing import Any

import pytest

from schemas.errors import ApiError
from schemas.rules.parse import parse
from sinks.console.pages.recipes import RECIPES
from sinks.console.pages.rule_form import MOST_CONDITIONS, form_of_fields, form_of_rule, rule_of

SAYABLE: list[Any] = [
    {"event": "a"},
    {"event": "a", "count": {"op": "lte", "value": 3}, "within": "30d"},
    {"event": "a", "where": [{"property": "total", "op": "gte", "value": 100.5}]},
    {"event": "a", "where": [{"property": "id", "op": "in", "value": ["1", 2, True]}]},
    {"attribute": "plan", "op": "eq", "value": "123"},
    {"attribute": "plan", "op": "not_exists"},
    {"not": {"attribute": "plan", "op": "ne", "value": False}},
    {"consent": "news", "value": False},
    {"segment": "seg_1"},
    {"any": [{"event": "a"}, {"not": {"event": "b", "within": "1d"}}]},
    {"all": [{"attribute": "x", "op": "contains", "value": "<b>"}, {"event": 'quo"te'}]},
]
UNSAYABLE: list[Any] = [
    None,
    [],
    "text",
    {},
    {"identified": True},
    {"sequence": [{"event": "a"}, {"event": "b"}]},
    {"all": [{"any": [{"event": "a"}, {"event": "b"}]}]},
    {"all": [{"event": "a"}]},
    {"event": "a", "between": ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]},
    {"event": "a", "sum": {"property": "total", "op": "gte", "value": 1}},
    {"event": "a", "where": [{"property": "a", "op": "eq", "value": 1}, {"property": "b", "op": "eq", "value": 1}]},
    {"not": {"not": {"event": "a"}}},
    {"event": {"odd": 1}},
    {"attribute": "x", "op": "eq", "value": {"a": [1]}},
    {"all": [{"event": "a"}] * (MOST_CONDITIONS + 1)},
]


@pytest.mark.parametrize("rule", SAYABLE, ids=str)
def test_a_form_says_what_its_rule_says(rule: Any) -> None:
    form = form_of_rule(rule)
    assert form is not None
    fields = {f"c{n}.{name}": value for n, one in enumerate(form.conditions) for name, value in one.items()}
    assert rule_of(form_of_fields({**fields, "match": form.match})) == rule


@pytest.mark.parametrize("rule", UNSAYABLE, ids=lambda rule: str(rule)[:40])
def test_what_a_form_cannot_say_has_none(rule: Any) -> None:
    assert form_of_rule(rule) is None


def test_odd_fields_make_no_condition() -> None:
    fields = {"c1.kind": "drop table", "cx.kind": "event", "c999.kind": "event", "c2.kind": "event", "c2.event": " a "}
    assert rule_of(form_of_fields(fields)) == {"event": "a"}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda one: one.name)
def test_every_recipe_is_a_rule(recipe: Any) -> None:
    try:
        parse(recipe.rule)
    except ApiError as refused:
        pytest.fail(f"{refused.param}: {refused.message}")
    assert len(RECIPES) == 10
