"""A function of the operator's in; an aiokafka token provider for ``OAUTHBEARER`` out."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from aiokafka.abc import AbstractTokenProvider


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka publishes no types
    """An operator's function as aiokafka calls it: a blocking one runs in a thread."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    async def token(self) -> str:
        """The token for a new connection; raises the function's exceptions."""
        if inspect.iscoroutinefunction(self._function):
            return str(await self._function())
        return str(await asyncio.to_thread(self._function))
