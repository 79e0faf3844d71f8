"""What lets analysts read their workspaces on a ClickHouse of your own, statement by statement; and wrong files."""

import os
import re
from collections import Counter
from pathlib import Path

import pytest

from deploy.analysts import TABLES, TIMES_ALONE, VIEWS, password_of, read, rendered
from schemas.errors import CannotStart
from schemas.settings import Settings

HERE = Path(__file__).parent
FILE = """
[[analyst]]
user = "anna"
workspace = "acme"
password_file = "{secret}"

[[analyst]]
user = "ben@x.io"
workspace = "acme-2"
environments = ["staging", "production"]
password_file = "{secret}"
"""


def written(tmp_path: Path, text: str = FILE, password: str = "correct horse battery\n") -> Path:
    secret, file = tmp_path / "secret", tmp_path / "analysts.toml"
    secret.write_text(password)
    file.write_text(text.replace("{secret}", str(secret)))
    return file


def statements(tmp_path: Path, on_cluster: str = "") -> list[str]:
    settings = Settings(home=tmp_path, clickhouse_url="http://headwater:x@ch:8123", clickhouse_database="hw")
    return list(rendered(settings, read(written(tmp_path)).analyst, on_cluster, lambda: "5a17"))


def test_the_statements_are_those_that_were_reviewed(tmp_path: Path) -> None:
    """Each once for the first of many tables; what is said of the others is counted below."""
    text = "".join(
        f"{statement};\n" for statement in statements(tmp_path) if not re.search(r" hw\.(?!accepted)", statement)
    )
    golden = HERE / "statements.sql"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_role_has_a_policy_on_every_table_that_it_may_read(tmp_path: Path) -> None:
    made = statements(tmp_path)
    for role in ("hw.acme", "hw.acme-2.production", "hw.acme-2.staging"):
        policies = Counter(sql.split(" ON hw.")[1].split()[0] for sql in made if f"POLICY OR REPLACE `{role}`" in sql)
        grants = Counter(
            sql.split(" ON hw.")[1].split()[0] for sql in made if sql.endswith(f" TO `{role}`") and "GRANT" in sql
        )
        assert policies == Counter(TABLES)
        assert grants == Counter((*TABLES, *VIEWS, *TIMES_ALONE))
    assert sum("TO `headwater`" in sql for sql in made) == len(TABLES), "our own user reads everything"


def test_a_cluster_is_named_in_each_statement(tmp_path: Path) -> None:
    assert all(" ON CLUSTER 'c\\'1'" in statement for statement in statements(tmp_path, "c'1"))


def test_no_password_is_printed(tmp_path: Path) -> None:
    assert "correct horse" not in "".join(statements(tmp_path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "analyst"),
        ("[[analyst", "not TOML"),
        ("[[analyst]]\nuser = 'x'\n", "workspace"),
        (FILE.replace("acme", "a' OR 1"), "workspace"),
        (FILE.replace("anna", "a`; DROP"), "user"),
        (FILE.replace("staging", "s'"), "environments"),
        (FILE.replace("workspace", "workspce", 1), "workspce"),
        (FILE + 'password = "secret-in-clear"\n', "password"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place_and_without_a_secret(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(CannotStart, match=says) as refused:
        read(written(tmp_path, text))
    assert "secret-in-clear" not in str(refused.value)


@pytest.mark.parametrize("password", ["short", "x" * 2000, ""])
def test_a_password_has_a_length(tmp_path: Path, password: str) -> None:
    written(tmp_path, password=password)
    with pytest.raises(CannotStart, match="characters") as refused:
        password_of(tmp_path / "secret")
    assert not password or password not in str(refused.value)
    with pytest.raises(CannotStart, match="FileNotFoundError"):
        password_of(tmp_path / "nothing")
