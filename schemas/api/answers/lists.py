"""The answers to requests about named lists out, as types; pure."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from schemas.api.answers.fields import Count, Moment, closed


@closed
class ListUserShape(TypedDict):
    id: str
    name: str
    status: Literal["live", "backfilling", "disabled"]


@closed
class ValueListShape(TypedDict):
    name: str
    description: str
    size: Count
    version: Annotated[Count, Field(description="grows where the values change")]
    segments: Annotated[list[ListUserShape], Field(description="the segments that it decides on")]
    created_at: Moment
    updated_at: Moment


@closed
class ListedValueShape(TypedDict):
    value: str | int | float | bool
