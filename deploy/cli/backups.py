"""A cluster in; a backup of it in a folder or in S3 out. A backup in; a cluster restored from it out.

Both commands access Kafka and ClickHouse directly, with the settings of the processes.
"""

from typing import Annotated

import typer

from deploy.client.output import note
from deploy.client.session import examples
from schemas.service.process import read_settings, run_to_end

Place = Annotated[str, typer.Argument(metavar="FOLDER|s3://BUCKET/PREFIX", show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.command(epilog=examples("headwater backup backup-1", "headwater backup s3://backups/headwater-1"))(backup)
    app.command(epilog=examples("headwater restore backup-1", "headwater restore s3://backups/headwater-1"))(restore)


def backup(place: Place) -> None:
    """Copy all topics, tables and offsets into a new folder, or a new place in S3, while all processes run.

    It holds all data of all workspaces and, where HEADWATER_SECRET_KEY is not set, secrets in clear. S3 is reached with
    AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the latter's files, by _FILE).
    """
    from deploy.backup.command import backup as work  # noqa: PLC0415 - other commands need none of it

    run_to_end(work(read_settings(), place, note))


def restore(
    place: Place,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Go on without webhooks whose secrets cannot be unsealed.")
    ] = False,
) -> None:
    """Restore topics and tables from a backup, if none of these names exist; start the processes afterwards.

    The key that sealed secrets (HEADWATER_SECRET_KEY, or secret.key of the home) is not in it, and has to be here.
    """
    from deploy.backup.command import restore as work  # noqa: PLC0415 - same

    run_to_end(work(read_settings(), place, note, lose=yes))
