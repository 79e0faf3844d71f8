"""Types of fields in answers out: counts, times, closed sets of words; pure.

An answer is a ``TypedDict``: handlers build plain dicts, and no answer is validated on its way out.
"""

from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from schemas.errors import STATUS
from schemas.json_schema import ref
from schemas.warning import PATTERN

T = TypeVar("T")
closed = with_config(ConfigDict(extra="forbid"))
"""Decorates an answer: it has these fields and no others."""


def words(*values: str) -> Any:
    """Returns the type of a field whose closed set of values is defined elsewhere."""
    return Field(json_schema_extra={"enum": list(values)})


Count = Annotated[int, Field(ge=0)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
RuleField = Annotated[Any, WithJsonSchema({"anyOf": [ref("Rule"), {"type": "null"}]})]
Warnings = list[Annotated[str, Field(json_schema_extra={"pattern": PATTERN})]]


class _Problem(TypedDict):
    code: Annotated[str, words(*STATUS)]
    message: str


@closed
class Problem(_Problem, total=False):
    """``param``: the path of the wrong field."""

    param: str
    request_id: str


@closed
class ErrorShape(TypedDict):
    error: Problem


@closed
class Pair(TypedDict):
    """An identifier."""

    type: str
    value: str


class PageMeta(TypedDict):
    total: int
    page: int
    limit: int


class Page(TypedDict, Generic[T]):
    """A list's answer; `schemas.json_schema.listed` describes it. ``meta``: only where it was read by page."""

    data: list[T]
    next_cursor: str | None
    meta: NotRequired[PageMeta]
