"""The program ``headwater``: command-line arguments in; printed results and an exit status out."""

import sys
from collections.abc import Sequence
from importlib import import_module

import typer
from pydantic import ValidationError

from deploy.client.api import ApiRefusedError, ApiUnreachableError
from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, REFUSED, UNREACHABLE, USAGE, note, print_json
from deploy.client.session import OPTIONS, SHARED_HELP, split_shared
from schemas.errors import CannotStart
from schemas.settings import complaints

INTERRUPTED = 130
MODULES: dict[str, tuple[str, ...]] = {
    "stack": ("run", "up", "down", "status"),
    "backups": ("backup", "restore"),
    "doctor.command": ("doctor",),
    "send": ("send",),
    "trigger": ("trigger",),
    "generate": ("generate",),
    "tail": ("tail",),
    "listen": ("listen",),
    "imports.command": ("import",),
    "exports.command": ("export",),
    "segments.command": ("segments",),
    "quarantine": ("quarantine",),
    "keys": ("keys",),
    "environments": ("environments",),
    "workers": ("workers",),
}
"""The commands of each module under ``deploy.cli``; its ``add_to`` adds them."""


def program(word: str = "") -> typer.Typer:
    """Returns the program; if ``word`` is a command, it has only that command's module.

    Loading what all commands need takes three times as long as most of them run.
    """
    app = typer.Typer(
        name="headwater",
        help="Headwater: events in; contacts, segments and webhooks out.",
        epilog=SHARED_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_group)
    modules = [module for module, names in MODULES.items() if word in names] or list(MODULES)
    for module in modules:
        import_module(f"deploy.cli.{module}").add_to(app)
    return app


def _group() -> None:
    """Keeps a group: without a callback typer turns a single command into the program."""


def main(words: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its status."""
    try:
        options, left = split_shared(sys.argv[1:] if words is None else words)
    except ValueError as error:
        sys.exit(_failed(USAGE, str(error)))
    OPTIONS.set(options)
    try:
        program(next(iter(left), ""))(left, prog_name="headwater")
    except ConfigError as error:
        sys.exit(_failed(USAGE, str(error)))
    except ValidationError as error:
        sys.exit(_failed(USAGE, "\n".join(complaints(error))))
    except CannotStart as error:
        sys.exit(_failed(FINDINGS, str(error)))
    except ApiUnreachableError as error:
        sys.exit(_failed(UNREACHABLE, str(error), "headwater doctor says what is wrong"))
    except ApiRefusedError as error:
        place = f"{error.param}: " if error.param and error.param not in error.message else ""
        sys.exit(_failed(REFUSED, f"{place}{error.message}", code=error.code, param=error.param))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # the pipe's reader has closed it; otherwise Python would report the error again at exit
        sys.stdout = None
        sys.exit(0)


def _failed(status: int, text: str, hint: str = "", **more: str | None) -> int:
    if OPTIONS.get().as_json:
        print_json({"error": {"message": text, **{k: v for k, v in more.items() if v}}})
    else:
        note(f"headwater: {text}")
        if hint:
            note(hint)
    return status


if __name__ == "__main__":
    main()
