"""A request's method, path and query string in; an error for the first unknown parameter out.

The native API only: vendors' clients send parameters of their own, and their paths ignore those. A route takes
the parameters of its description.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from urllib.parse import parse_qsl

from schemas.api.routes import ROUTES
from schemas.api.wait_parameters import CHECKS
from schemas.errors import ApiError
from schemas.json_schema import Schema

EVERYWHERE = ("apiKey", "environment")
MOST_SHOWN = 80
_PART = re.compile(r"\\\{[a-z_]+(:path)?\\\}")
_EXACT: dict[tuple[str, str], Mapping[str, Schema]] = {(r.method, r.path): r.query for r in ROUTES if "{" not in r.path}
_PATTERNS = [
    (r.method, re.compile(_PART.sub(lambda part: "(?:.+)" if part[1] else "[^/]+", re.escape(r.path))), r.query)
    for r in ROUTES
    if "{" in r.path
]


def check(method: str, path: str, query: str | bytes) -> None:
    """Raises ``ApiError`` (422) with the nearest name; other paths than native routes take any."""
    if not query:
        return
    names = _names_of("GET" if method == "HEAD" else method, path)
    if names is None:
        return
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in CHECKS and name in names:
            CHECKS[name]({name: value})
        elif name not in names and name not in EVERYWHERE:
            raise ApiError("unknown_parameter", _unknown(name, [*names, *EVERYWHERE]), name[:MOST_SHOWN])


def _names_of(method: str, path: str) -> Mapping[str, Schema] | None:
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact
    return next((names for its, pattern, names in _PATTERNS if its == method and pattern.fullmatch(path)), None)


def _unknown(name: str, names: list[str]) -> str:
    shown = name[:MOST_SHOWN]
    folded = {name.lower().replace("_", ""): name for name in names}
    near = get_close_matches(shown.lower().replace("_", ""), folded, n=1)
    if near:
        return f"there is no parameter {shown!r} here: did you mean {folded[near[0]]}?"
    return f"there is no parameter {shown!r} here, only {', '.join(names)}"
