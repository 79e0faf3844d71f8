"""A rule and the form that says the same lead to each other; what a form cannot say is left to JSON."""

import json
import re
from typing import Any

import pytest

from ingest import doc_pages
from schemas.errors import ApiError
from schemas.rules.parse import parse
from sinks.console.pages.recipes import RECIPES
from sinks.console.pages.rule_fields import MOST_TESTS
from sinks.console.pages.rule_form import MOST_CONDITIONS, form_of_fields, form_of_rule, rule_of

SAYABLE: list[Any] = [
    {"event": "a"},
    {"event": "a", "count": {"op": "lte", "value": 3}, "within": "30d"},
    {"event": "a", "where": [{"property": "total", "op": "gte", "value": 100.5}]},
    {"event": "a", "where": [{"property": "id", "op": "in", "value": ["1", 2, True]}]},
    {"attribute": "plan", "op": "eq", "value": "123"},
    {"event": "a", "where": [{"property": "sku", "op": "not_in", "value": {"list": "vip_skus"}}]},
    {"attribute": "country", "op": "in", "value": {"list": "eu"}},
    {"identifier": "email", "op": "not_in", "value": {"list": "staff"}},
    {"attribute": "plan", "op": "not_exists"},
    {"not": {"attribute": "plan", "op": "ne", "value": False}},
    {"consent": "news", "value": False},
    {"segment": "seg_1"},
    {"any": [{"event": "a"}, {"not": {"event": "b", "within": "1d"}}]},
    {"all": [{"attribute": "x", "op": "contains", "value": "<b>"}, {"event": 'quo"te'}]},
    {"attribute": "x", "op": "eq", "value": " a "},
    {"attribute": "x", "op": "in", "value": ["a\nb", " ", "7"]},
    {"identified": True},
    {"not": {"identified": True}},
    {"event": "a", "between": ["2026-01-01T00:00:00Z", "2026-02-01"], "tz": "Europe/Berlin"},
    {"event": "a", "sum": {"property": "total", "op": "gte", "value": 1}},
    {"event": "message.opened", "by": "person", "min": {"property": "x.y", "op": "ne", "value": -1.5}, "within": "2w"},
    {
        "event": "a",
        "where": [{"property": "a", "op": "before", "value": "2026-05-01"}, {"property": "b", "op": "exists"}],
    },
    {"event": "a", "where": [{"property": f"p{n}", "op": "eq", "value": n} for n in range(MOST_TESTS)]},
    {"attribute": "birthday", "op": "anniversary"},
    {"attribute": "birthday", "op": "anniversary", "value": -7, "tz": {"attribute": "zone", "default": "Asia/Tokyo"}},
    {"attribute": "birthday", "op": "anniversary", "tz": {"attribute": "zone"}},
    {"attribute": "ends", "op": "before", "value": "now+3d", "tz": "America/New_York"},
    {"identifier": "email", "op": "ends_with", "value": "@gmail.com"},
    {"identifier": "phone", "op": "not_exists"},
    {"identifier": "external_id", "op": "in", "value": ["1", "b"]},
    {"sequence": [{"event": "a"}, {"event": "b", "within": "1d"}]},
    {
        "sequence": [
            {"event": "a", "count": {"op": "gte", "value": 2}, "within": "1h"},
            *({"event": f"e{n}", "where": [{"property": "x", "op": "gt", "value": n}]} for n in range(6)),
            {"event": "message.clicked", "by": "machine"},
        ],
        "tz": "Europe/Berlin",
    },
    {"absent": {"event": "a"}, "after": {"event": "b"}, "for": "2h", "within": "1d"},
    {
        "absent": {"event": "message.opened", "by": "machine", "where": [{"property": "p", "op": "ne", "value": 1}]},
        "after": {
            "event": "b",
            "where": [{"property": "path", "op": "eq", "value": "/"}, {"property": "q", "op": "not_exists"}],
            "count": {"op": "gte", "value": 3},
            "within": "7d",
        },
        "for": "2d",
        "tz": "Europe/Berlin",
    },
]
UNSAYABLE: list[Any] = [
    None,
    [],
    "text",
    {},
    {"identified": False},
    {"identified": 1},
    {"sequence": [{"event": "a"}, {"event": ""}]},
    {"sequence": [{"event": "a"}, {"event": "b", "odd": 1}]},
    {"sequence": [{"event": f"e{n}"} for n in range(9)]},
    {"sequence": [{"event": "a"}, {"event": "b", "count": {"op": "lte", "value": 1}}]},
    {"sequence": "ab"},
    {"absent": {"event": "a"}, "for": "2h"},
    {"absent": {"event": "a", "within": "1d"}, "after": {"event": "b"}, "for": "2h"},
    {"absent": {"event": "a", "count": {"op": "gte", "value": 1}}, "after": {"event": "b"}, "for": "2h"},
    {"event": "a", "absent": {"event": "b"}},
    {"event": "a", "count": {"op": "gte", "value": 1}, "sum": {"property": "x", "op": "gte", "value": 1}},
    {"event": "a", "count": {"op": "gte", "value": True, "odd": 1}},
    {"event": "a", "where": []},
    {"event": "a", "where": [{"property": f"p{n}", "op": "eq", "value": n} for n in range(MOST_TESTS + 1)]},
    {"event": "a", "where": [{"property": "", "op": "eq", "value": 1}]},
    {"event": "a", "where": [{"property": "a", "op": "exists", "value": 1}]},
    {"event": "a", "between": ["2026-01-01", "2026-02-01", "2026-03-01"]},
    {"event": "a", "tz": {"default": "Europe/Berlin"}},
    {"event": "a", "within": 30},
    {"identifier": "email", "op": "exists", "tz": "Europe/Berlin"},
    {"consent": "news", "value": 1},
    {"attribute": "x", "op": "in", "value": ["a, b"]},
    {"attribute": "x", "op": "in", "value": {"list": "a", "odd": 1}},
    {"attribute": "x", "op": "eq", "value": {"list": "a"}},
    {"attribute": " x", "op": "eq", "value": "a"},
    {"event": "a\nb"},
    {"all": [{"any": [{"event": "a"}, {"event": "b"}]}]},
    {"all": [{"event": "a"}]},
    {"not": {"not": {"event": "a"}}},
    {"event": {"odd": 1}},
    {"attribute": "x", "op": "eq", "value": {"a": [1]}},
    {"all": [{"event": "a"}] * (MOST_CONDITIONS + 1)},
]


@pytest.mark.parametrize("rule", SAYABLE, ids=str)
def test_a_form_says_what_its_rule_says(rule: Any) -> None:
    form = form_of_rule(rule)
    assert form is not None
    fields = {f"c{n}.{name}": value for n, condition in enumerate(form.conditions) for name, value in condition.items()}
    assert rule_of(form_of_fields({**fields, "match": form.match})) == rule


def test_a_consent_without_a_value_is_one_that_was_given() -> None:
    form = form_of_rule({"all": [{"consent": "news"}, {"event": "a"}]})
    assert form is not None
    assert rule_of(form) == {"all": [{"consent": "news", "value": True}, {"event": "a"}]}


def test_a_form_grows_by_steps_and_tests_as_far_as_a_rule_may() -> None:
    form = form_of_fields({"c0.kind": "sequence", "c0.s0.event": "a", "c1.kind": "event"})
    for _ in range(20):
        form.grow("0.step")
        form.grow("1.test.")
    assert (len(form.steps(0)), len(form.tests(1, ""))) == (8, MOST_TESTS)
    assert (form.tests(0, "s1.")[0][0], len(form.tests(0, "s1."))) == ("s1.property", 1)
    before = [dict(condition) for condition in form.conditions]
    for odd in ("", "7.step", "x.step", "-1.step", "0.", "0.odd", "\u0664.step"):
        form.grow(odd)
    assert form.conditions == before
    assert rule_of(form)["all"][0] == {"sequence": [{"event": "a"}]}


@pytest.mark.parametrize("rule", UNSAYABLE, ids=lambda rule: str(rule)[:40])
def test_what_a_form_cannot_say_has_none(rule: Any) -> None:
    assert form_of_rule(rule) is None


def test_odd_fields_make_no_condition() -> None:
    fields = {"c1.kind": "drop table", "cx.kind": "event", "c999.kind": "event", "c2.kind": "event", "c2.event": " a "}
    assert rule_of(form_of_fields(fields)) == {"event": "a"}


def test_the_recipes_are_those_of_the_page_of_rules() -> None:
    page = doc_pages.source("rules").partition("## Recipes\n")[2].partition("\n## ")[0]
    described = re.findall(r"### ([^\n]+)\n([^\n]+)\n```json\n(.*?)```", page, re.DOTALL)
    assert page.count("```json") == len(described)
    assert [(name, about, json.loads(rule)) for name, about, rule in described] == [tuple(recipe) for recipe in RECIPES]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_is_a_rule(recipe: Any) -> None:
    try:
        parse(recipe.rule)
    except ApiError as refused:
        pytest.fail(f"{refused.param}: {refused.message}")
    assert form_of_rule(recipe.rule) is not None
