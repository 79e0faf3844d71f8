"""A GraphQL document and its variables in, how deep it is and how many nodes it may return out; pure.

A connection costs what it may return times what each of its nodes costs: ``first`` (or ``limit``) is the factor. So
a request is refused by what it asks for, before anything has been read.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from schemas.api.words import DEFAULT_LIMIT, MAX_LIMIT
from schemas.errors import Refused

MAX_DEPTH = 12
MAX_COST = 20_000
MAX_FIELDS = 500
"""Fields of a document, its fragments spread out."""
CONNECTIONS = frozenset(
    "contacts events segments campaigns webhooks deliveries".split(),
)


class _Walk:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._variables = variables
        self._fields = 0

    def cost(self, selections: SelectionSetNode | None, depth: int, spread: frozenset[str]) -> int:
        """Nodes below a field; raises ``Refused`` as soon as a bound is passed."""
        if selections is None:
            return 0
        if depth > MAX_DEPTH:
            raise Refused("too_complex", f"the query is nested deeper than {MAX_DEPTH}", "query")
        total = 0
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                total += self._field(selection, depth, spread)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = self._fragments.get(name)
                # an unknown fragment or one within itself is the validation's to report
                if fragment is not None and name not in spread:
                    total += self.cost(fragment.selection_set, depth, spread | {name})
            else:
                total += self.cost(getattr(selection, "selection_set", None), depth, spread)
        if total > MAX_COST:
            raise Refused("too_complex", f"the query may return more than {MAX_COST} nodes", "query")
        return total

    def _field(self, field: FieldNode, depth: int, spread: frozenset[str]) -> int:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise Refused("too_complex", f"the query names more than {MAX_FIELDS} fields", "query")
        below = self.cost(field.selection_set, depth + 1, spread)
        if field.selection_set is None:
            return 0
        many = field.name.value in CONNECTIONS
        return (1 + below) * (self._first(field) if many else 1)

    def _first(self, field: FieldNode) -> int:
        for argument in field.arguments or ():
            if argument.name.value in ("first", "limit"):
                value: Any = None
                if isinstance(argument.value, IntValueNode):
                    value = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    value = self._variables.get(argument.value.name.value)
                if isinstance(value, int):
                    return max(1, min(value, MAX_LIMIT))
        return DEFAULT_LIMIT


def check(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """The cost of the dearest operation; raises ``Refused`` (``too_complex``)."""
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    walk = _Walk(document, variables)
    return max((walk.cost(o.selection_set, 1, frozenset()) for o in operations), default=0)
