"""Texts in, literals of ClickHouse's SQL out; pure. Values of requests travel as parameters instead."""


def literal(text: str) -> str:
    """Returns the text in single quotes, with backslashes and single quotes escaped."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
