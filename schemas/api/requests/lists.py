"""Bodies that make, replace and change named lists in; checked models out.

`schemas/control/value_lists.py` checks each value, and names its place.
"""

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from schemas.api.requests.body import Absent, Body
from schemas.limits import MAX_DESCRIPTION, MOST_CHANGED_VALUES, MOST_LIST_VALUES
from schemas.rules.operands import LIST_NAME

ListName = Annotated[str, Field(pattern=f"^{LIST_NAME}$")]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION)]
ListItem = Annotated[Any, WithJsonSchema({"type": ["string", "number", "boolean"]})]


class NewValueList(Body):
    """A list of values that rules refer to by its name, which cannot change."""

    name: ListName
    description: Description = ""
    values: Annotated[list[ListItem], Field(max_length=MOST_LIST_VALUES)] = []


class ListReplacement(Body):
    """All values that the list has from now on."""

    values: Annotated[list[ListItem], Field(max_length=MOST_LIST_VALUES)]
    description: Annotated[Description, Absent]


class ListChange(Body):
    """Values to add or to remove."""

    values: Annotated[list[ListItem], Field(min_length=1, max_length=MOST_CHANGED_VALUES)]
