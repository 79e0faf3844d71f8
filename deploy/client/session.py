"""A command's arguments in; the options common to all commands, and the API client that they configure, out.

The options may stand anywhere: ``headwater keys list --json`` and ``headwater --json keys list`` are the same.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import typer

from deploy.client.api import ApiClient
from deploy.client.config import ClientOptions, api_access

T = TypeVar("T")
VALUED = {
    "--url": "url",
    "--key": "key",
    "--key-file": "key_file",
    "--profile": "profile",
    "--environment": "environment",
}
FLAG = "--json"
SHARED_HELP = (
    "Every command takes --json (one JSON value a line), --url, --key or better --key-file or HEADWATER_KEY, "
    "--profile and --environment. Exit status: 0 well, 1 something is wrong, 2 wrong use, 3 not reachable, 4 refused."
)


_NOTHING_SAID = ClientOptions()
OPTIONS: ContextVar[ClientOptions] = ContextVar("options", default=_NOTHING_SAID)
"""The options of the running command."""


def split_shared(words: Sequence[str]) -> tuple[ClientOptions, list[str]]:
    """The shared options and the words that are left; raises ``ValueError`` for an option without its value."""
    taken: dict[str, Any] = {}
    left: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        name, equals, value = word.partition("=")
        if word == "--":
            return ClientOptions(**taken), [*left, *words[at:]]
        if word == FLAG:
            taken["as_json"] = True
        elif name in VALUED:
            if not equals:
                at += 1
                if at >= len(words):
                    raise ValueError(f"{name} needs a value")
                value = words[at]
            taken[VALUED[name]] = value
        else:
            left.append(word)
        at += 1
    return ClientOptions(**taken), left


@asynccontextmanager
async def api(*, patience: int = 3) -> AsyncIterator[ApiClient]:
    """The client of the command that runs; raises ``ConfigError``."""
    access = api_access(OPTIONS.get())
    async with ApiClient(access, patience=patience) as client:
        yield client


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def examples(*commands: str) -> str:
    """The end of a command's help; a test runs each of them."""
    return "\n".join(["\b", "Examples:", *(f"  $ {command}" for command in commands)])


def commands(name: str, text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(name=name, help=text, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
