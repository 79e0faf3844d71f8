"""The name of a ClickHouse error or format in, the HTTP status or content type that a server gives it out."""

import re
from collections.abc import Mapping

NAMES = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")

STATUS: Mapping[int, frozenset[str]] = {
    400: frozenset(
        {
            "BAD_ARGUMENTS",
            "CANNOT_COMPILE_REGEXP",
            "CANNOT_PARSE_DATE",
            "CANNOT_PARSE_DATETIME",
            "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
            "CANNOT_PARSE_ESCAPE_SEQUENCE",
            "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
            "CANNOT_PARSE_IPV4",
            "CANNOT_PARSE_IPV6",
            "CANNOT_PARSE_NUMBER",
            "CANNOT_PARSE_QUOTED_STRING",
            "CANNOT_PARSE_TEXT",
            "CANNOT_PARSE_UUID",
            "DUPLICATE_COLUMN",
            "ILLEGAL_COLUMN",
            "INCORRECT_DATA",
            "SYNTAX_ERROR",
            "THERE_IS_NO_COLUMN",
            "TOO_BIG_AST",
            "TOO_DEEP_AST",
            "TYPE_MISMATCH",
            "UNEXPECTED_AST_STRUCTURE",
            "UNKNOWN_ELEMENT_IN_AST",
            "UNKNOWN_TYPE_OF_AST_NODE",
            "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
        }
    ),
    403: frozenset({"ACCESS_DENIED"}),
    404: frozenset(
        {
            "UNKNOWN_AGGREGATE_FUNCTION",
            "UNKNOWN_DATABASE",
            "UNKNOWN_DATABASE_ENGINE",
            "UNKNOWN_DIRECTION_OF_SORTING",
            "UNKNOWN_FORMAT",
            "UNKNOWN_FUNCTION",
            "UNKNOWN_IDENTIFIER",
            "UNKNOWN_ROLE",
            "UNKNOWN_SETTING",
            "UNKNOWN_STORAGE",
            "UNKNOWN_TABLE",
            "UNKNOWN_TYPE",
            "UNKNOWN_TYPE_OF_QUERY",
        }
    ),
    408: frozenset({"TIMEOUT_EXCEEDED"}),
    413: frozenset({"QUERY_IS_TOO_LARGE"}),
    501: frozenset({"NOT_IMPLEMENTED"}),
    503: frozenset({"SOCKET_TIMEOUT", "CANNOT_OPEN_FILE", "CANNOT_SCHEDULE_TASK"}),
}

CONTENT_TYPES = (
    ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
    ("TSV", "text/tab-separated-values; charset=UTF-8"),
    ("CSV", "text/csv; charset=UTF-8"),
    ("JSONEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8"),
    ("JSON", "application/json; charset=UTF-8"),
    ("XML", "application/xml; charset=UTF-8"),
    ("Pretty", "text/plain; charset=UTF-8"),
    ("Vertical", "text/plain; charset=UTF-8"),
    ("Values", "text/plain; charset=UTF-8"),
    ("Markdown", "text/markdown; charset=UTF-8"),
)


class ClickHouseError(Exception):
    """ClickHouse's error text, in its words and with its number."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def refusal(code: int, name: str, message: str) -> ClickHouseError:
    """A refusal of our own, worded like one of ClickHouse's."""
    return ClickHouseError(code, f"Code: {code}. DB::Exception: {message} ({name})")


def status_of(message: str) -> int:
    """ClickHouse writes the name of the error in brackets behind its text; 500 for all that is not listed."""
    names = NAMES.findall(message)
    return next((status for status, errors in STATUS.items() if names and names[-1] in errors), 500)


def content_type(format_name: str) -> str:
    return next((kind for prefix, kind in CONTENT_TYPES if format_name.startswith(prefix)), "application/octet-stream")
