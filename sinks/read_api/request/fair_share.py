"""A workspace's query in; its turn out: no workspace has more than its share of the database at a time.

1. A workspace runs at most ``RUNNING`` queries at a time, all workspaces together ``ALL``, first come, first served.
2. At most ``WAITING`` of a workspace's queries wait; a further query is refused (429). So a workspace that sends many
   queries slows itself down, and its queue costs the others nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from schemas.errors import ApiError

RUNNING = 4
ALL = 12
"""Below the threads of the embedded database, so that a share is left for the next workspace."""
WAITING = 300


@dataclass(slots=True)
class _Share:
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(RUNNING))
    queries: int = 0
    """Queries that run or wait."""


class FairShare:
    """Of one process."""

    def __init__(self, running_in_all: int = ALL) -> None:
        self._all = asyncio.Semaphore(running_in_all)
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def turn(self, workspace: str) -> AsyncIterator[None]:
        """Raises ``ApiError`` (429) where too many of the workspace's queries wait already."""
        share = self._shares.setdefault(workspace, _Share())
        if share.queries >= RUNNING + WAITING:
            raise ApiError("rate_limited", f"{WAITING} queries of this workspace wait already")
        share.queries += 1
        try:
            async with share.turns, self._all:
                yield
        finally:
            share.queries -= 1
            if not share.queries:
                self._shares.pop(workspace, None)
