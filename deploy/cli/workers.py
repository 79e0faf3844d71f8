"""A stage and numbers of workers in; the members of consumer groups, listed or removed, out.

Both commands access Kafka directly, with the processes' settings: `KAFKA_BOOTSTRAP_SERVERS`, `HEADWATER_KAFKA_*`.
"""

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.client.config import ConfigError
from deploy.client.output import FINDINGS, note, print_json, print_rows
from deploy.client.session import OPTIONS, commands, examples, run
from deploy.group_members import GROUPS, members, retire
from schemas.service.process import read_settings

cli = commands("workers", "Workers of the stages: list, retire. Needs Kafka and no key.")
COLUMNS = ("stage", "worker", "host", "partitions")
Stage = Annotated[str, typer.Argument(help=f"One of: {', '.join(GROUPS)}.", show_default=False)]
Numbers = Annotated[list[int], typer.Argument(min=0, help="HEADWATER_WORKER of each.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.add_typer(cli)


@cli.command("list", epilog=examples("headwater workers list"))
def show() -> None:
    """Show the workers of each stage's group, including absent ones whose session has not ended."""
    group_members = run(members(read_settings()))
    print_rows([asdict(member) for member in group_members], COLUMNS, as_json=OPTIONS.get().as_json)


@cli.command("retire", epilog=examples("headwater workers retire segments 2"))
def retire_workers(stage: Stage, numbers: Numbers) -> None:
    """Hand the partitions of permanently stopped workers to the others at once.

    Without it they wait for HEADWATER_SESSION_TIMEOUT_S. A running worker rejoins by itself: stop it first.
    """
    if stage not in GROUPS:
        raise ConfigError(f"STAGE: {stage!r} is not one of {', '.join(GROUPS)}")
    gone = run(retire(read_settings(), stage, numbers))
    if OPTIONS.get().as_json:
        print_json({"stage": stage, "retired": gone})
    for number in numbers:
        if number not in gone:
            note(f"{stage} has no worker {number}")
        elif not OPTIONS.get().as_json:
            print(f"{stage} {number}: its partitions are handed over")
    if len(gone) < len(numbers):
        raise typer.Exit(FINDINGS)
