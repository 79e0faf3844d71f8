"""What a GraphQL document costs before it is executed: connections multiply, fragments count where they are spread."""

import time

import pytest
from graphql import parse

from schemas.errors import ApiError
from sinks.read_api.graphql import cost


@pytest.mark.parametrize(
    ("document", "variables", "expected"),
    [
        ("{ contact(id: 1) { id email } }", {}, 1),
        ("{ contacts(first: 5) { edges { node { id } } } }", {}, 5 * 3),
        ("{ contacts { edges { node { id } } } }", {}, 20 * 3),
        ("{ contacts(first: 5) { nodes { events(first: 3) { nodes { id } } } } }", {}, 5 * (1 + 1 + 3 * 2)),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {"n": 7}, 14),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {}, 40),
        ("query($n: Int = 100) { contacts(first: $n) { nodes { id } } }", {}, 200),
        ("query($n: Int = 100) { contacts(first: $n) { nodes { id } } }", {"n": 3}, 6),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {"n": 100.0}, 200),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {"n": None}, 200),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {"n": "7"}, 200),
        ("{ contacts(first: 7.0) { nodes { id } } }", {}, 14),
        ("{ contacts(first: 100000) { nodes { id } } }", {}, 200),
        ("{ contacts(first: 2) { ...f } } fragment f on ContactConnection { nodes { id } }", {}, 4),
        ("{ a: contact(id: 1) { id } b: contact(id: 2) { ... on Contact { id } } }", {}, 2),
        ("query a { contact(id: 1) { id } } query b { contacts(first: 3) { nodes { id } } }", {}, 6),
        ("{ __schema { types { fields { name } } } }", {}, 3),
    ],
)
def test_cost(document: str, variables: dict[str, int], expected: int) -> None:
    assert cost.check(parse(document), variables) == expected


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{ " + "contact(id: 1) { " * 13 + "id" + " }" * 14, "deeper"),
        (
            "{ contacts(first: 100) { nodes { events(first: 100) { nodes { contact { events { nodes { id } } } } } } } }",  # noqa: E501
            "nodes",
        ),
        ("{ " + " ".join(f"c{n}: contact(id: {n}) {{ id }}" for n in range(21)) + " }", "more than 20 times"),
        ("{ contact(id: 1) { " + " ".join(f"a{n}: id" for n in range(600)) + " } }", "fields"),
        ("{ contact(id: 1) { ...a } } fragment a on Contact { " + "id " * 1001 + "}", "fields"),
        ("{ contact(id: 1) { id } } fragment unused on Contact { " + "id " * 1001 + "}", "document"),
        ("{ contact(id: 1) { id " + "@include(if: true) " * 101 + "} }", "directives"),
        (" ".join(f"query q{n} {{ contact(id: 1) {{ id }} }}" for n in range(21)), "operations"),
    ],
)
def test_what_asks_for_too_much_is_refused(document: str, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        cost.check(parse(document), {})
    assert refused.value.code == "too_complex"


def test_fragments_in_a_circle_end() -> None:
    assert cost.check(parse("{ contact(id: 1) { ...f } } fragment f on Contact { id ...f }"), {}) == 1


def _doubling(levels: int) -> str:
    """Fragments that each spread the next twice: 2^levels spreads in a few bytes."""
    text = "{ ...f0 } "
    for n in range(levels):
        text += f"fragment f{n} on Query {{ ...f{n + 1} ...f{n + 1} }} "
    return text + f"fragment f{levels} on Query {{ contact(id: 1) {{ id }} }}"


@pytest.mark.parametrize("levels", [10, 100, 300])
def test_fragments_that_double_are_refused_in_linear_time(levels: int) -> None:
    document = parse(_doubling(levels))
    start = time.process_time()
    with pytest.raises(ApiError, match=r"spread out|more than 20 times"):
        cost.check(document, {})
    assert time.process_time() - start < 1
