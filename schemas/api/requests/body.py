"""A JSON value and the model of a body in; the checked model out; the types of fields that several bodies share.

An error names the wrong value's path and the right form. Unknown fields are errors too.
"""

from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)

from schemas.errors import ApiError
from schemas.json_schema import Schema, or_empty
from schemas.times import parse_time

Text = str | int | None
"""An identifier: numbers mean their digits."""
Time = str | int | float | None
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


def _as_object(value: Any) -> Any:
    """Accepts an empty array as an empty object: PHP writes it so."""
    return {} if value == [] else value


def _as_ms(value: Any) -> int:
    ms = parse_time(value)
    if ms is None:
        raise ValueError("must be ISO 8601, or unix seconds or milliseconds")
    return ms


def _nothing() -> Any:
    return None


Instant = Annotated[int, BeforeValidator(_as_ms), WithJsonSchema({"type": ["string", "number"]})]
"""A time of a body, in milliseconds in the model."""
Absent = Field(default_factory=_nothing)
"""A field that may be absent but not ``null``: ``model_fields_set`` shows which; OpenAPI shows no default."""


class _OrEmpty:
    """Adds the alternative to the description."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Schema:
        return or_empty(handler(core))


AnObject = TypeVar("AnObject")
OrEmpty = Annotated[AnObject, BeforeValidator(_as_object), _OrEmpty()]


class Body(BaseModel):
    """``strict``: a number is no text and 1 is no boolean."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Body)
_CODES = {"missing": "missing_field", "extra_forbidden": "unknown_field"}
_REASONS = {"list_type": "must be a list", "model_type": "must be a JSON object", "dict_type": "must be a JSON object"}
MOST_PROBLEMS = 1000
"""The most problems of a body that an answer describes: describing one takes six times as long as finding it."""
_BLANK = r"String should match pattern '\S'"


def checked(model: type[Model], value: Any) -> Model:
    """Checks a body; raises ``ApiError``: 400 unless it is an object, 422 with the path of the first wrong field."""
    if not isinstance(value, dict):
        raise ApiError("invalid_type", "the body must be a JSON object")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        if error.error_count() > MOST_PROBLEMS:
            message = (
                f"more than {MOST_PROBLEMS} fields are wrong; the fields of this body: {', '.join(_fields(model, ()))}"
            )
            raise ApiError("invalid_field", message) from None
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        # an unknown field is probably a misspelt missing one
        first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
        code = _CODES.get(first["type"], "invalid_field")
        path = _path(first["loc"], value)
        reason = _REASONS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
        message = f"{path}: {'must not be blank' if reason == _BLANK else reason}"
        if code == "missing_field":
            message = f"{path} is needed"
        elif code == "unknown_field":
            message = f"{path} is not a field of this body; its fields: {', '.join(_fields(model, first['loc']))}"
        raise ApiError(code, message, path) from None


def _path(places: tuple[str | int, ...], value: Any) -> str:
    """Returns the path as far as it exists in the value; pydantic appends names of a union's branches."""
    path = ""
    for place in places:
        if isinstance(value, dict):
            path += f".{place}" if path else str(place)
            value = value.get(place)
        elif isinstance(value, list) and isinstance(place, int):
            path += f"[{place}]"
            value = value[place]
        else:
            break
    return path[:200]


def _fields(model: type[BaseModel], places: tuple[str | int, ...]) -> list[str]:
    """Returns the field names of the model that holds the unknown field, the path's last part."""
    for place in places[:-1]:
        if isinstance(place, str) and place in model.model_fields:
            model = _model_in(model.model_fields[place].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
