"""A file of analysts and their workspaces in; SQL that grants each analyst these workspaces on your ClickHouse, out.

``python -m deploy.analysts analysts.toml | clickhouse-client`` as a user who may manage access. The command connects to
nothing: read its output first, and run it again after an upgrade or an edit.

1. A role for each workspace, or for each of its environments, has a row policy on every table. It hides rows of other
   workspaces, in the tables and in the views, which run with the rights of the querying user.
2. Where ``users_without_row_policies_can_read_rows`` is off, users without a policy read nothing. So Headwater's own
   user gets a policy that hides nothing.
3. A file holds an analyst's password; the output has its salted SHA-256 only.
"""

import hashlib
import re
import secrets
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.api.requests.body import Slug
from schemas.errors import CannotStart
from schemas.service.process import read_settings
from schemas.settings import Settings
from schemas.sql_text import literal

TABLES = (
    *("accepted", "campaigns", "consent_changes", "contact_memberships", "contact_merges", "contact_overrides"),
    *("contacts", "delivery_attempts", "duplicates", "event_outcomes", "event_types", "events", "links"),
    *("membership_changes", "memberships", "refused_links", "removals", "retracted_links", "segments"),
    *("typed_columns", "webhooks"),
)
"""The tables whose rows have a workspace and an environment. Not quarantine: it is for operators."""
VIEWS = (
    *("campaign_messages", "consents_current", "contacts_current"),
    *("events_resolved", "members_current", "membership_history"),
)
TIMES_ALONE = ("squashes",)
"""Tables that views read and that hold no data of a workspace."""
LIMITS = "readonly = 2, max_execution_time = 60 MIN 1 MAX 60, max_memory_usage = 4000000000 MIN 1 MAX 4000000000"
"""A client may set how its answer looks, and change nothing. 0, which is no limit, is below the least."""
NAME = r"^[A-Za-z_][A-Za-z0-9_.@-]{0,62}$"
SHORTEST, LONGEST = 12, 1024
"""Characters of a password."""


class Analyst(BaseModel):
    """Who may read what; without environments all of the workspace's."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    user: str = Field(pattern=NAME)
    workspace: Slug
    environments: tuple[Slug, ...] = ()
    password_file: Path


class Analysts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    analyst: tuple[Analyst, ...] = Field(min_length=1)


def read(path: Path) -> Analysts:
    """Raises ``CannotStart`` that says what is wrong, and where."""
    try:
        return Analysts.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotStart(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors(include_input=False)
        )
        raise CannotStart(f"{path}: {wrong}") from error


def password_of(path: Path) -> str:
    """Raises ``CannotStart``, which never shows it."""
    try:
        text = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"{path} cannot be read as a password: {type(error).__name__}") from error
    if not SHORTEST <= len(text) <= LONGEST:
        raise CannotStart(f"{path}: a password has {SHORTEST} to {LONGEST} characters")
    return text


def rendered(
    settings: Settings, analysts: Iterable[Analyst], on_cluster: str = "", salt: Callable[[], str] = secrets.token_hex
) -> Iterator[str]:
    """Statements in their order, each as often as it likes to be run."""
    database, some = settings.clickhouse_database, tuple(analysts)
    where = f" ON CLUSTER {literal(on_cluster)}" if on_cluster else ""
    own = urlsplit(settings.clickhouse).username or "default"
    for table in TABLES:
        yield (
            f"CREATE ROW POLICY OR REPLACE {_named(f'{database}_everything')}{where} ON {database}.{table}"
            f" FOR SELECT USING 1 AS PERMISSIVE TO {_named(own)}"
        )
    for role, condition in sorted({entry for analyst in some for entry in _roles(database, analyst)}):
        yield f"CREATE ROLE IF NOT EXISTS {_named(role)}{where}"
        yield f"ALTER ROLE {_named(role)}{where} SETTINGS {LIMITS}"
        for name in (*TABLES, *VIEWS, *TIMES_ALONE):
            yield f"GRANT{where} SELECT ON {database}.{name} TO {_named(role)}"
        for table in TABLES:
            yield (
                f"CREATE ROW POLICY OR REPLACE {_named(role)}{where} ON {database}.{table}"
                f" FOR SELECT USING {condition} AS PERMISSIVE TO {_named(role)}"
            )
    for analyst in some:
        yield from _user(database, analyst, where, salt())


def _user(database: str, analyst: Analyst, where: str, salt: str) -> Iterator[str]:
    user, roles = _named(analyst.user), ", ".join(_named(role) for role, _ in _roles(database, analyst))
    digest = hashlib.sha256((password_of(analyst.password_file) + salt).encode()).hexdigest()
    identified = f"IDENTIFIED WITH sha256_hash BY '{digest}' SALT '{salt}'"
    yield f"CREATE USER IF NOT EXISTS {user}{where} {identified}"
    yield f"GRANT{where} {roles} TO {user} WITH REPLACE OPTION"  # what it had before and has no longer, goes
    yield f"ALTER USER {user}{where} {identified} DEFAULT ROLE {roles}"


def _roles(database: str, analyst: Analyst) -> list[tuple[str, str]]:
    """Names of roles, each with what its rows have to meet; no part of a name holds a dot."""
    here = f"workspace = {literal(analyst.workspace)}"
    if not analyst.environments:
        return [(f"{database}.{analyst.workspace}", here)]
    return [
        (f"{database}.{analyst.workspace}.{name}", f"{here} AND environment = {literal(name)}")
        for name in sorted(set(analyst.environments))
    ]


def _named(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.@-]+", name):
        raise CannotStart(f"{name!r} is no name of a user or role that can be rendered")
    return f"`{name}`"


def main(
    file: Annotated[Path, typer.Argument(help="TOML: [[analyst]] with user, workspace, environments, password_file.")],
    on_cluster: Annotated[str, typer.Option(help="The cluster, where ClickHouse has several servers.")] = "",
) -> None:
    """Print SQL that lets analysts read the rows of their workspaces, and no others."""
    try:
        for statement in list(rendered(read_settings(), read(file).analyst, on_cluster)):
            print(f"{statement};")
    except CannotStart as error:
        sys.exit(str(error))


if __name__ == "__main__":
    cli = typer.Typer(add_completion=False)
    cli.command()(main)
    cli(prog_name="python -m deploy.analysts")
