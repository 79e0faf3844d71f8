"""A cluster in; a backup of it in a folder out. A backup in; a cluster restored from it out.

Both commands access Kafka and ClickHouse directly, with the settings of the processes.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deploy.client.output import note
from deploy.client.session import examples
from schemas.service.process import read_settings

Folder = Annotated[Path, typer.Argument(file_okay=False, show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("headwater backup backup-1"))(backup)
    app.command(epilog=examples("headwater restore backup-1"))(restore)


def backup(folder: Folder) -> None:
    """Copy all topics, tables and offsets into a new folder, while all processes run.

    It holds all data of all workspaces and, where HEADWATER_SECRET_KEY is not set, secrets in clear.
    """
    from deploy.backup.command import backup as work  # noqa: PLC0415 - other commands need none of it

    asyncio.run(work(read_settings(), folder, note))


def restore(folder: Folder) -> None:
    """Restore topics and tables from a backup, if none of these names exist; start the processes afterwards."""
    from deploy.backup.command import restore as work  # noqa: PLC0415 - same

    asyncio.run(work(read_settings(), folder, note))
