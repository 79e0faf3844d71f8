"""A generated request in; the same with a closed local port in place of every URL that the stack would call, out.

Schemathesis loads this: a generated request must not make the stack call foreign hosts.
"""

from typing import Any

import schemathesis

KEY = "Idempotency-Key"
CLOSED = "http://127.0.0.1:9/closed"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: "schemathesis.Case[Any]", kwargs: dict[str, Any]) -> None:
    case.body = kept_here(case.body)
    # nearly all requests would share one key, and the edge would refuse them as different requests
    if case.headers and len(str(case.headers.get(KEY, ""))) == 1:
        del case.headers[KEY]


def kept_here(value: Any) -> Any:
    """Replaces the text of every field ``url``, at any depth."""
    if isinstance(value, dict):
        return {k: CLOSED if k == "url" and isinstance(v, str) else kept_here(v) for k, v in value.items()}
    return [kept_here(item) for item in value] if isinstance(value, list) else value
