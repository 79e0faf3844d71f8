"""A template's name and its values in; HTML out: all values are escaped, and each template is compiled once."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sinks.console.web.assets import Assets

FOLDER = Path(__file__).parents[1] / "templates"
LONGEST_TEXT = 300
"""Characters of a value that a list shows; its own page has it whole."""


def short(value: Any, most: int = LONGEST_TEXT) -> str:
    """Returns the value as text, cut to length."""
    text = value if isinstance(value, str) else as_json(value, indent=False)
    return text if len(text) <= most else f"{text[:most]}…"


def as_json(value: Any, *, indent: bool = True) -> str:
    """Returns JSON text, indented by default."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None, default=str).decode()


def thousands(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else "-"


def millis(value: int) -> str:
    """Formats a duration for people: 3 ms, 1.2 s, 4 min, 2 h, 3 d."""
    if value < 1000:
        return f"{max(value, 0)} ms"
    seconds = value / 1000
    for unit, size, limit in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < size * limit:
            return f"{seconds / size:.{1 if unit == 's' and seconds < 10 else 0}f} {unit}"
    return f"{seconds / 86400:.0f} d"


class Templates:
    """Jinja2 with autoescape; an unknown name is an error."""

    def __init__(self, assets: Assets) -> None:
        self._env = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._env.globals["asset"] = assets.url
        self._env.filters |= {
            "short": short,
            "as_json": as_json,
            "thousands": thousands,
            "millis": millis,
            "part": lambda text: quote(str(text), safe=""),
            "query": lambda values: urlencode({k: v for k, v in values.items() if v}),
        }

    def render(self, template: str, values: dict[str, Any]) -> str:
        return self._env.get_template(template).render(values)
