"""All reasons to refuse a request: a closed set of codes, and the one table from code to status; pure."""

from collections.abc import Iterable
from typing import Any

STATUS = {
    "invalid_json": 400,
    "invalid_type": 400,
    "invalid_encoding": 400,
    "missing_key": 401,
    "invalid_key": 401,
    "invalid_signature": 401,
    "missing_scope": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "ambiguous": 409,
    "too_large": 413,
    "too_many": 413,
    "unsupported_media_type": 415,
    "missing_field": 422,
    "invalid_field": 422,
    "unknown_field": 422,
    "unknown_property": 422,
    "unknown_parameter": 422,
    "unknown_environment": 422,
    "too_complex": 422,
    "rate_limited": 429,
    "internal": 500,
    "not_implemented": 501,
    "unavailable": 503,
}


class CannotStart(Exception):  # noqa: N818 - a process that says why and ends; no traceback belongs to it
    """Settings or data with which this process must not run; the text names the necessary change."""


class ApiError(Exception):
    """Refuses a request with the status ``STATUS[code]``; ``param`` is a path such as ``events[3].timestamp``.

    ``allow``: for 405, the methods that the path accepts.
    """

    def __init__(self, code: str, message: str, param: str | None = None, *, allow: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.allow = sorted(allow)

    @property
    def status(self) -> int:
        return STATUS[self.code]

    def detached(self) -> "ApiError":
        """Removes the traceback, for an error that is kept beside the values of its request; returns the error.

        The frames of the traceback refer to these values: a reference cycle would keep the body in memory until the
        garbage collector runs.
        """
        self.__traceback__ = self.__context__ = None
        return self

    def at(self, prefix: str) -> "ApiError":
        """The same refusal with its path put below ``prefix``."""
        if not self.param:
            return ApiError(self.code, self.message, prefix)
        joint = "" if self.param.startswith("[") else "."
        return ApiError(self.code, self.message, f"{prefix}{joint}{self.param}")

    def body(self, request_id: str | None = None) -> dict[str, Any]:
        """The value of ``error`` in an answer."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.param is not None:
            body["param"] = self.param
        if request_id is not None:
            body["request_id"] = request_id
        return body
