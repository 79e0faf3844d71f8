"""A nonce in; the headers of a page out. A request's headers in; whether it comes from our own page out; pure.

A page runs only scripts with its nonce, connects to no other host, and turns strings into HTML only through htmx's own
policy (Trusted Types), which accepts only this server's responses.
"""

from collections.abc import Mapping

from schemas.errors import ApiError

_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types htmx"
)


def headers(nonce: str) -> dict[str, str]:
    """Returns the headers of every page and fragment."""
    return {
        "Content-Security-Policy": _POLICY.format(nonce=nonce),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }


def check_same_origin(sent: Mapping[str, str]) -> None:
    """Raises ``ApiError`` (403) for a write from a page of another origin.

    Every browser sends the origin of a request, and no page can forge it.
    """
    if sent.get("sec-fetch-site") != "same-origin":
        raise ApiError("missing_scope", "only a page of this console may send this form", "Sec-Fetch-Site")
