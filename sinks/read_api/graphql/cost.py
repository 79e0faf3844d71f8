"""A GraphQL document and its variables in, how deep it is and how many nodes it may return out; pure.

A connection costs the most nodes that it may return (``first`` or ``limit``) times the cost of a node. So an
expensive request is refused before anything has been read. The check itself takes a bounded number of
steps: a fragment counts each time it is spread.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from schemas.errors import ApiError
from schemas.limits import DEFAULT_LIMIT, MAX_LIMIT

MAX_DEPTH = 12
MAX_COST = 20_000
MAX_FIELDS = 500
"""Fields of a document, its fragments spread out."""
MAX_SELECTIONS = 1_000
"""Fields, fragments and spreads of fragments, these counted each time."""
MAX_SAME = 20
"""How often an operation may name one of its first fields: each time is a query of its own."""
MAX_OPERATIONS = 20
MAX_DIRECTIVES = 100
CONNECTIONS = frozenset(
    "contacts events segments campaigns launches webhooks deliveries".split(),
)


class _Walk:
    """The cost of one operation."""

    def __init__(
        self,
        operation: OperationDefinitionNode,
        fragments: Mapping[str, FragmentDefinitionNode],
        values: Mapping[str, Any],
    ) -> None:
        self._fragments = fragments
        self._given = values
        self._defaults = {d.variable.name.value: d.default_value for d in operation.variable_definitions or ()}
        self._fields = 0
        self._selections = 0
        self._first_fields: Counter[str] = Counter()

    def cost(self, selections: SelectionSetNode | None, depth: int, spread: frozenset[str]) -> int:
        """Nodes below a field; raises ``ApiError`` as soon as a bound is passed."""
        if selections is None:
            return 0
        if depth > MAX_DEPTH:
            raise _too_complex(f"the query is nested deeper than {MAX_DEPTH}")
        total = 0
        for selection in selections.selections:
            self._selections += 1
            if self._selections > MAX_SELECTIONS:
                raise _too_complex(f"the query has more than {MAX_SELECTIONS} fields and fragments, spread out")
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
            raise _too_complex(f"the query may return more than {MAX_COST} nodes")
        return total

    def _field(self, field: FieldNode, depth: int, spread: frozenset[str]) -> int:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise _too_complex(f"the query names more than {MAX_FIELDS} fields")
        if depth == 1:
            self._first_fields[field.name.value] += 1
            if self._first_fields[field.name.value] > MAX_SAME:
                raise _too_complex(f"the query asks for {field.name.value} more than {MAX_SAME} times")
        below = self.cost(field.selection_set, depth + 1, spread)
        if field.selection_set is None:
            return 0
        many = field.name.value in CONNECTIONS
        return (1 + below) * (self._first(field) if many else 1)

    def _first(self, field: FieldNode) -> int:
        for argument in field.arguments or ():
            if argument.name.value in ("first", "limit"):
                return self._count(argument.value)
        return DEFAULT_LIMIT

    def _count(self, node: ValueNode | None) -> int:
        """The number that execution will see; the largest possible if that is unknown."""
        value: Any = None
        if isinstance(node, VariableNode):
            name = node.name.value
            if name not in self._given:
                default = self._defaults.get(name)
                return DEFAULT_LIMIT if default is None else self._count(default)
            value = self._given[name]
        elif isinstance(node, IntValueNode | FloatValueNode):
            value = float(node.value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_LIMIT:
            return MAX_LIMIT
        return max(1, int(value))


def check(document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """The cost of the dearest operation; raises ``ApiError`` (``too_complex``)."""
    _check_size(document)
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) > MAX_OPERATIONS:
        raise _too_complex(f"the document has more than {MAX_OPERATIONS} operations")
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    costs = (_Walk(o, fragments, variables).cost(o.selection_set, 1, frozenset()) for o in operations)
    return max(costs, default=0)


def _check_size(document: DocumentNode) -> None:
    """Bounds of the text as it stands: validation reads fragments too that no operation spreads."""
    selections = directives = 0
    pending: list[Any] = list(document.definitions)
    while pending:
        node = pending.pop()
        directives += len(node.directives or ())
        inner = getattr(node, "selection_set", None)
        if inner is not None:
            selections += len(inner.selections)
            pending.extend(inner.selections)
        if selections > MAX_SELECTIONS:
            raise _too_complex(f"the document has more than {MAX_SELECTIONS} fields and fragments")
        if directives > MAX_DIRECTIVES:
            raise _too_complex(f"the document has more than {MAX_DIRECTIVES} directives")


def _too_complex(message: str) -> ApiError:
    return ApiError("too_complex", message, "query")
