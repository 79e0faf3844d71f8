"""The program ``headwater``: command-line arguments in; printed results and an exit status out."""

import sys
from collections.abc import Sequence

import typer
from pydantic import ValidationError

from deploy.cli import backups, environments, keys, listen, quarantine, send, stack, tail, workers
from deploy.cli.doctor import command as doctor
from deploy.cli.exports import command as exports
from deploy.cli.imports import command as imports
from deploy.cli.segments import command as segments
from deploy.client.api import ApiRefusedError, ApiUnreachableError
from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, REFUSED, UNREACHABLE, USAGE, note, print_json
from deploy.client.session import OPTIONS, SHARED_HELP, split_shared
from schemas.errors import CannotStart
from schemas.settings import complaints

INTERRUPTED = 130

app = typer.Typer(
    name="headwater",
    help="Headwater: events in; contacts, segments and webhooks out.",
    epilog=SHARED_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
stack.add_to(app)
backups.add_to(app)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)
app.command(epilog=send.EXAMPLES)(send.send)
app.command(epilog=tail.EXAMPLES)(tail.tail)
app.command(epilog=listen.EXAMPLES)(listen.listen)
app.add_typer(imports.cli)
app.add_typer(exports.cli)
app.add_typer(segments.cli)
app.add_typer(quarantine.cli)
app.add_typer(keys.cli)
app.add_typer(environments.cli)
app.add_typer(workers.cli)


def main(words: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its status."""
    try:
        options, left = split_shared(sys.argv[1:] if words is None else words)
    except ValueError as error:
        sys.exit(_failed(USAGE, str(error)))
    OPTIONS.set(options)
    try:
        app(left, prog_name="headwater")
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
        # the reader of the pipe has closed it; Python would complain once more while it ends
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
