"""A nonce in, the headers of a page out; a request's headers in, whether it comes from a page of ours, out; pure.

A page runs no script but those with its nonce, asks no other host for anything, and lets no string become HTML but
through htmx's own policy (Trusted Types), which takes only what this server answered.
"""

from collections.abc import Mapping

from schemas.errors import ApiError

_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types htmx"
)


def headers(nonce: str) -> dict[str, str]:
    """What every page and fragment carries."""
    return {
        "Content-Security-Policy": _POLICY.format(nonce=nonce),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }


def check_same_origin(sent: Mapping[str, str]) -> None:
    """Raises ``ApiError`` (403) for a write that does not come from a page of this console.

    Every browser says where a request comes from, and no page can change what it says.
    """
    if sent.get("sec-fetch-site") != "same-origin":
        raise ApiError("missing_scope", "only a page of this console may send this form", "Sec-Fetch-Site")
