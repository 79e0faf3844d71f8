"""Settings in, the local workspace on the `control` topic out: two environments, a secret and a public key.

These keys are printed in the README, so they exist only on a stack that runs on one machine.
"""

from schemas import control, kafka, topics
from schemas.control import ApiKey, Environment, Record, Workspace
from schemas.settings import Settings

WORKSPACE = "local"
SECRET_KEY = "sk_dev_local"  # noqa: S105 - published on purpose
PUBLIC_KEY = "pk_dev_local"
_CREATED_MS = 1_767_225_600_000
"""Fixed, so that seeding again changes nothing."""


def records() -> list[tuple[str, Record]]:
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
                scopes=control.SCOPES,
                environment="production",
                sha256=control.digest(SECRET_KEY),
                **common,
            ),
        ),
        (
            "key",
            ApiKey(
                id="key_local_public",
                name="local public key",
                kind="public",
                scopes=control.PUBLIC_SCOPES,
                environment="production",
                sha256=control.digest(PUBLIC_KEY),
                **common,
            ),
        ),
    ]


async def seed(settings: Settings) -> None:
    """Idempotent: what is there already stays as it is (a key that was revoked stays revoked)."""
    state = control.ControlState()
    seen: set[bytes] = set()

    def apply(record: object) -> None:
        key, value = record.key, record.value  # type: ignore[attr-defined]  # aiokafka is untyped
        seen.add(key)
        state.apply(key, value)

    tail = kafka.Tail(settings, topics.CONTROL, apply)
    await tail.start()
    await tail.stop()
    missing = [control.encode(kind, record) for kind, record in records()]
    missing = [(key, value) for key, value in missing if key not in seen]
    if not missing:
        return
    producer = kafka.producer(settings)
    await producer.start()
    try:
        for key, value in missing:
            await producer.send_and_wait(topics.name(topics.CONTROL, settings), value, key=key)
    finally:
        await producer.stop()
