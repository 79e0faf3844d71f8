"""What a GraphQL document costs before it is executed: connections multiply, fragments count where they are spread."""

import pytest
from graphql import parse

from schemas.errors import Refused
from sinks.graph import cost


@pytest.mark.parametrize(
    ("document", "variables", "expected"),
    [
        ("{ contact(id: 1) { id email } }", {}, 1),
        ("{ contacts(first: 5) { edges { node { id } } } }", {}, 5 * 3),
        ("{ contacts { edges { node { id } } } }", {}, 20 * 3),
        ("{ contacts(first: 5) { nodes { events(first: 3) { nodes { id } } } } }", {}, 5 * (1 + 1 + 3 * 2)),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {"n": 7}, 14),
        ("query($n: Int) { contacts(first: $n) { nodes { id } } }", {}, 40),
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
    ("document", "said"),
    [
        ("{ " + "contact(id: 1) { " * 13 + "id" + " }" * 14, "deeper"),
        (
            "{ contacts(first: 100) { nodes { events(first: 100) { nodes { contact { events { nodes { id } } } } } } } }",  # noqa: E501
            "nodes",
        ),
        ("{ " + " ".join(f"c{n}: contact(id: {n}) {{ id }}" for n in range(300)) + " }", "fields"),
    ],
)
def test_what_asks_for_too_much_is_refused(document: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        cost.check(parse(document), {})
    assert refused.value.code == "too_complex"


def test_fragments_in_a_circle_end() -> None:
    assert cost.check(parse("{ contact(id: 1) { ...f } } fragment f on Contact { id ...f }"), {}) == 1
