"""The specification of one route: its parameters, body and answers; ``document`` adds the shared parts; pure."""

from dataclasses import dataclass, field

from schemas.json_schema import TEXT, Schema, one_of, whole
from schemas.limits import (
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT_MS,
    JSON,
    LIST_FORMS,
    MAX_LIMIT,
    MAX_PAGE,
    SYNC_WORDS,
    TIMEOUT_MS,
)

PUBLIC = ""
"""In place of a scope: the route needs no key."""
ANY_KEY = "*"
"""In place of a scope: the handler checks it, after parsing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """A route of the API. ``answers``: the shape of each successful answer, by status; ``[]`` marks a list."""

    method: str
    path: str
    summary: str
    scope: str
    answers: dict[int, str]
    body: str = ""
    """Name of its body's schema."""
    body_needed: bool = True
    query: dict[str, Schema] = field(default_factory=dict)
    media: str = "application/json"
    """The media type of successful answers; with ``application/x-ndjson`` the shape is that of a line."""
    errors: dict[int, str] = field(default_factory=dict)
    """Errors beside those of its kind of route, or in another shape."""

    @property
    def tag(self) -> str:
        parts = self.path.split("/")
        return parts[2] if parts[1] == "v1" else parts[1]

    @property
    def public_path(self) -> str:
        """The path as the documentation shows it."""
        return self.path.replace(":path}", "}")


PAGES: dict[str, Schema] = {
    "limit": whole(1, MAX_LIMIT, DEFAULT_LIMIT),
    "page": whole(1, MAX_PAGE, 1),
    "cursor": {**TEXT, "description": "Instead of page: empty for the first page, then next_cursor."},
    "format": {
        **one_of(*LIST_FORMS),
        "default": JSON,
        "description": "ndjson and csv are the whole list, streamed, without pages; Accept does the same.",
    },
}
WAIT: dict[str, Schema] = {"timeout_ms": whole(*TIMEOUT_MS, DEFAULT_TIMEOUT_MS)}
TASK: dict[str, Schema] = {
    "task": {
        **one_of(*SYNC_WORDS),
        "description": "Whether the answer names a task that shows the state of each event.",
    }
}
SYNC: dict[str, Schema] = {"sync": one_of(*SYNC_WORDS), **WAIT}


def get(
    path: str, scope: str, shape: str, summary: str, query: dict[str, Schema] | None = None, *, listed: bool = False
) -> RouteSpec:
    """Describes a read; ``listed``: the answer is a list with pages."""
    parameters = {**(query or {}), **(PAGES if listed else {})}
    return RouteSpec(
        method="GET",
        path=path,
        summary=summary,
        scope=scope,
        answers={200: f"{shape}[]" if listed else shape},
        query=parameters,
    )


def write(  # noqa: PLR0917 - a line of the table reads best without names
    method: str,
    path: str,
    scope: str,
    body: str,
    answers: dict[int, str],
    summary: str,
    query: dict[str, Schema] | None = None,
    *,
    body_needed: bool = True,
    errors: dict[int, str] | None = None,
) -> RouteSpec:
    """Describes a write, or a read with a body. ``body``: the name of the body's schema; empty: no body."""
    return RouteSpec(
        method=method,
        path=path,
        summary=summary,
        scope=scope,
        answers=answers,
        body=body,
        body_needed=body_needed,
        query=query or {},
        errors=errors or {},
    )
