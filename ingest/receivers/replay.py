"""Signed tokens of providers that do not sign the body in; the first body of each token remembered; pure.

Where a signature covers only a time and a token, the sender of one report could put any other body under it. So a
token is bound to the first body that came with it: the same body again is a repeat, another one is refused.

Memory is bounded for each workspace by itself. A token that is forgotten while it is still young takes all that are
not younger with it: an unknown token is then refused, not trusted.
"""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.receivers.provider_request import REPLAY_WINDOW_MS, unsigned

FIRST_WINDOW_MS = 15 * 60_000
"""The age at which an unknown token is still taken; a known one may be repeated for ``REPLAY_WINDOW_MS``."""
CAPACITY = 100_000
"""Tokens of one workspace: about 20 MB, and 110 reports a second for as long as unknown tokens are taken."""


class SignedToken(NamedTuple):
    """The token that a provider signs in place of the body, and its time."""

    signed: bytes
    at_ms: int


@dataclass(slots=True)
class _Tokens:
    bodies: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Digests of token and body, and the token's time, in the order of arrival."""
    forgotten_ms: int = -1
    """Tokens of this time and before may have been forgotten."""


class ReplayGuard:
    """The tokens that this edge has seen."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._workspaces: dict[str, _Tokens] = {}

    def check(self, workspace: str, token: SignedToken, body: bytes, now_ms: int) -> None:
        """Raises ``ApiError`` (401) if the token came with another body before, or is new here and too old."""
        tokens = self._workspaces.setdefault(workspace, _Tokens())
        name, digest = _digest(token.signed), _digest(body)
        first = tokens.bodies.get(name)
        if first is not None:
            if first[0] != digest:
                raise unsigned("the token came with another body before", "signature.token")
            return
        if now_ms - token.at_ms > FIRST_WINDOW_MS or token.at_ms <= tokens.forgotten_ms:
            raise unsigned("the signed time is too old for a token that is new here", "signature.timestamp")
        tokens.bodies[name] = digest, token.at_ms
        self._shrink(tokens, now_ms)

    def _shrink(self, tokens: _Tokens, now_ms: int) -> None:
        while tokens.bodies:
            oldest = next(iter(tokens.bodies))
            at_ms = tokens.bodies[oldest][1]
            if len(tokens.bodies) <= self._capacity and now_ms - at_ms <= REPLAY_WINDOW_MS:
                return
            del tokens.bodies[oldest]
            tokens.forgotten_ms = max(tokens.forgotten_ms, at_ms)


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()
