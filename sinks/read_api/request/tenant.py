"""A request's workspace and environment in, the contact ids that it may name out; pure."""

from collections.abc import Collection
from dataclasses import dataclass

from schemas.errors import ApiError
from schemas.records import identity


@dataclass(frozen=True, slots=True)
class Tenant:
    """The workspace and environment that a request is about."""

    workspace: str
    environment: str
    segments: Collection[str] = ()
    """Ids of the segments that exist: a crash can leave a membership of one that was deleted."""

    def contact_id(self, text: str) -> str:
        """Of ``cnt_…`` or ``type:value``; raises ``ApiError`` (404) where no contact here can have it."""
        if identity.is_contact_id(text):
            text = f"{identity.CONTACT_ID}:{text}"
        kind, colon, value = text.partition(":")
        kind = identity.ALIASES.get(kind, kind)
        normal = identity.normalise(kind, value) if colon and identity.is_type(kind) else None
        own = kind != identity.CONTACT_ID or identity.belongs_to(value, self.workspace, self.environment)
        if normal is None or not own:
            raise ApiError("not_found", "no such contact")
        return identity.contact_id(self.workspace, self.environment, kind, normal)

    @property
    def place(self) -> tuple[str, str]:
        """The key of its definitions in ``ControlState``."""
        return self.workspace, self.environment

    @property
    def parameters(self) -> dict[str, str]:
        return {"workspace": self.workspace, "environment": self.environment}
