"""A delivery and the outcome of its attempt in; the delivery's next state out; pure.

Ten attempts over 24 hours. A requested attempt is one more: where the delivery had ended, its
failure ends it again.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import blake2b

from schemas.records.deliveries import FAILED, PENDING, SUCCEEDED, WebhookDelivery
from schemas.times import HOUR_MS, MINUTE_MS

SECOND_MS = 1_000
WAITS_MS = (
    *(5 * SECOND_MS, 30 * SECOND_MS, 2 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS),
    *(HOUR_MS, 3 * HOUR_MS, 7 * HOUR_MS, 12 * HOUR_MS),
)
MAX_ATTEMPTS = len(WAITS_MS) + 1
JITTER = 0.2
GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """The outcome of a request; ``code`` 0: no answer, for the reason in ``error``."""

    code: int
    error: str
    duration_ms: int
    response: bytes = b""
    retry_after_ms: int = 0
    """The least wait that the receiver asks for."""
    expired: bool = False
    """Nothing was sent: the message expired."""
    reason: str = ""
    """A member of ``deliveries.REASONS``; empty: the receiver accepted it, or nothing was sent."""

    @property
    def is_final(self) -> bool:
        """Whether no other attempt can be of use."""
        return self.expired or self.code == GONE

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300


def asked_wait_ms(retry_after: str, now_ms: int) -> int:
    """Returns the wait of a ``Retry-After`` in seconds or as an HTTP date; 0 if it is malformed or past."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * SECOND_MS
    try:
        at = parsedate_to_datetime(text)
        return max(0, round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000) - now_ms)
    except (ValueError, OverflowError):
        return 0


def wait_ms(delivery_id: str, attempts: int) -> int:
    """Returns the wait after so many attempts: within ± 20 %, and always the same for the same delivery."""
    digest = blake2b(f"{delivery_id}/{attempts}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest) / 2**64
    return round(WAITS_MS[attempts - 1] * (1 - JITTER + 2 * JITTER * share))


def after(delivery: WebhookDelivery, outcome: AttemptOutcome, now_ms: int) -> WebhookDelivery:
    """The delivery after one more attempt that ended now."""
    attempts = delivery["attempts"] + 1
    status, due_ms = FAILED, 0
    if outcome.is_success:
        status = SUCCEEDED
    elif delivery["status"] == PENDING and attempts < MAX_ATTEMPTS and not outcome.is_final:
        asked_ms = min(outcome.retry_after_ms, WAITS_MS[-1])
        status, due_ms = PENDING, now_ms + max(wait_ms(delivery["id"], attempts), asked_ms)
    return {**delivery, "status": status, "attempts": attempts, "due_ms": due_ms, "updated_ms": now_ms}


def class_of(outcome: AttemptOutcome) -> str:
    """Returns the outcome's label in the metrics: ``2xx`` to ``5xx``, ``no_answer`` or ``expired``."""
    if outcome.expired:
        return "expired"
    return f"{min(max(outcome.code // 100, 2), 5)}xx" if outcome.code else "no_answer"
