"""A generated request in; the same with every URL that the stack would call replaced by a closed port of this machine.

Loaded by schemathesis: what is generated must not make the stack talk to anybody else's hosts.
"""

from typing import Any

import schemathesis

KEY = "Idempotency-Key"
CLOSED = "http://127.0.0.1:9/closed"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: "schemathesis.Case[Any]", kwargs: dict[str, Any]) -> None:
    case.body = kept_here(case.body)
    # nearly all would have one key, and be refused as another request with it
    if case.headers and len(str(case.headers.get(KEY, ""))) == 1:
        del case.headers[KEY]


def kept_here(value: Any) -> Any:
    """The text of every field called ``url``, wherever it stands, is another."""
    if isinstance(value, dict):
        return {k: CLOSED if k == "url" and isinstance(v, str) else kept_here(v) for k, v in value.items()}
    return [kept_here(one) for one in value] if isinstance(value, list) else value
