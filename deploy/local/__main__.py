"""A command and the HEADWATER_ variables in; the stack on this machine started, stopped or shown."""

import asyncio
import datetime as dt
import os
import sys

import typer

from deploy.local import daemon
from deploy.local.daemon import run_in_front
from deploy.local.home import AlreadyRunningError, StackHome
from deploy.local.kafka import BrokerError
from deploy.local.stack import Stack, StackError, greeting
from deploy.local.supervisor import NotReadyError
from schemas.errors import CannotStart
from schemas.service.process import read_settings
from schemas.settings import Settings

READY_WITHIN_S = 900.0  # the first start downloads the broker

cli = typer.Typer(add_completion=False, no_args_is_help=True, help="Headwater on one machine.")


def say(line: str) -> None:
    now = dt.datetime.now(dt.UTC).astimezone()
    print(f"{now:%H:%M:%S} {line}", flush=True)


def read_home() -> tuple[Settings, StackHome]:
    """Ends with one line where the settings are wrong or the home cannot be written to."""
    settings = read_settings()
    settings = settings.model_copy(update={"home": settings.home.resolve()})
    home = StackHome(settings.home)
    try:
        home.prepare()
        if not os.access(home.run, os.W_OK):
            raise PermissionError(f"not writable: {home.run}")
    except OSError as error:
        sys.exit(f"HEADWATER_HOME={home.path} cannot be used: {error}")
    return settings, home


@cli.command()
def run() -> None:
    """Start everything, stay in front; Ctrl-C stops it."""
    settings, home = read_home()
    stack = Stack(settings, say)

    async def start() -> None:
        await stack.start()
        print(await greeting(settings), flush=True)

    async def stop() -> None:
        say("stopping")
        await stack.stop()
        say("stopped")

    try:
        run_in_front(home, start, stop)
    except (AlreadyRunningError, BrokerError, StackError, NotReadyError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error


@cli.command()
def up() -> None:
    """Start everything in the background; returns when it is ready."""
    settings, home = read_home()
    if home.is_locked():
        print(f"already running in {home.path}")
        print(asyncio.run(greeting(settings)))
        return
    os.environ["HEADWATER_HOME"] = str(home.path)
    command = (sys.executable, "-m", "deploy.local", "run")
    if not daemon.up(home, command, within_s=READY_WITHIN_S, show=lambda text: print(text, end="", flush=True)):
        raise typer.Exit(1)


@cli.command()
def down() -> None:
    """Stop what `up` or `run` started."""
    _, home = read_home()
    print(daemon.down(home))


@cli.command()
def status() -> None:
    """Show the processes and the dependencies that they wait for; exit status 1 if one is not well."""
    from deploy.local.status import status as show_status  # noqa: PLC0415 - the supervisor shows nothing, and lives long

    lines, well = show_status(*read_home())
    print(*lines, sep="\n")
    raise typer.Exit(0 if well else 1)


@cli.command(hidden=True)
def provision() -> None:
    """Topics, tables and the local workspace; the stack runs it at each start."""
    from deploy.local.seed import seed  # noqa: PLC0415 - the other commands need no Kafka client
    from deploy.provision import ProvisionError  # noqa: PLC0415 - same
    from deploy.provision import provision as create  # noqa: PLC0415

    settings, _ = read_home()

    async def both() -> None:
        for name in await create(settings):
            say(f"created {name}")
        await seed(settings)

    try:
        asyncio.run(both())
    except (CannotStart, ProvisionError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    cli()
