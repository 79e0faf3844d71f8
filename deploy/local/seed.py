"""Settings in, the local workspace on the `control` topic out: two environments, a secret and a public key.

These keys are printed in the README, so they exist only on a stack that runs on one machine.
"""

from deploy.first_key import definitions, write
from schemas.control import control_state
from schemas.control.control_state import ApiKey, ControlRecord, Environment, Workspace
from schemas.control.definitions import PUBLIC_SCOPES
from schemas.control.development import PUBLIC_KEY, SECRET_KEY, check_keys
from schemas.service import clock
from schemas.settings import Settings

WORKSPACE = "local"
_CREATED_MS = 1_767_225_600_000
"""Fixed, so that seeding again changes nothing."""


def records() -> list[tuple[str, ControlRecord]]:
    """The control records of the local workspace, by kind."""
    common = {"workspace": WORKSPACE, "created_ms": _CREATED_MS}
    return [
        ("workspace", Workspace(id=WORKSPACE, name="Local", **common)),
        ("environment", Environment(id="production", number=1, **common)),
        ("environment", Environment(id="staging", number=2, **common)),
        (
            "key",
            ApiKey(
                id="key_local_secret",
                name="local secret key",
                kind="secret",
                scopes=control_state.SCOPES,
                environment="production",
                sha256=control_state.digest(SECRET_KEY),
                **common,
            ),
        ),
        (
            "key",
            ApiKey(
                id="key_local_public",
                name="local public key",
                kind="public",
                scopes=PUBLIC_SCOPES,
                environment="production",
                sha256=control_state.digest(PUBLIC_KEY),
                **common,
            ),
        ),
    ]


async def seed(settings: Settings) -> None:
    """Idempotent: existing records stay as they are (a revoked key stays revoked).

    Raises ``CannotStart`` where the network would be let in with these keys, ``ProvisionError`` without an answer.
    """
    seen, state = await definitions(settings)
    missing = [control_state.encode(kind, record) for kind, record in records()]
    missing = [(key, value) for key, value in missing if key not in seen]
    for key, value in missing:
        state.apply(key, value)
    check_keys(state, settings, clock.now_ms())
    await write(settings, missing)
