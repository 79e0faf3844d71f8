"""`headwater run|up|down|status` in; the stack on this machine, started, stopped or shown as by `make`, out."""

import typer

from deploy.client.config import ConfigError
from deploy.client.output import print_json
from deploy.client.session import OPTIONS, examples
from deploy.local.packages import missing_packages
from schemas.service.processes import states


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("headwater run"))(run)
    app.command(epilog=examples("headwater up"))(up)
    app.command(epilog=examples("headwater down"))(down)
    app.command(epilog=examples("headwater status", "headwater status --json"))(status)


def _check_installed() -> None:
    missing = missing_packages()
    if missing:
        raise ConfigError(f"{', '.join(missing)} not installed: pip install 'headwater[local]'")


def run() -> None:
    """Start the whole stack on this machine and stay in front; Ctrl-C stops it."""
    _check_installed()
    from deploy.local import __main__ as local  # noqa: PLC0415 - other commands need no stack

    local.run()


def up() -> None:
    """Start the whole stack in the background; returns when it is ready."""
    _check_installed()
    from deploy.local import __main__ as local  # noqa: PLC0415 - same

    local.up()


def down() -> None:
    """Stop what `up` or `run` started."""
    _check_installed()
    from deploy.local import __main__ as local  # noqa: PLC0415 - same

    local.down()


def status() -> None:
    """Show the stack's processes and the dependencies that they wait for; exit status 1 if one is not well."""
    _check_installed()
    from deploy.local import __main__ as local  # noqa: PLC0415 - same
    from deploy.local.status import status as seen  # noqa: PLC0415 - same

    if not OPTIONS.get().as_json:
        local.status()
        return
    settings, home = local.read_home()
    _, well = seen(settings, home)
    for state in states(home.run):
        shown = {"name": state.name, "state": state.state, "reason": state.reason, "restarts": state.restarts}
        print_json({**shown, "last_exit": state.last_exit})
    print_json({"name": "stack", "state": "ready" if well else "not ready"})
    raise typer.Exit(0 if well else 1)
