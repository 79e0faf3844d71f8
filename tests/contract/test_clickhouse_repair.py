"""The embedded database starts from what a full disk left of its files, and reads what it has; the rest it names."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx
import pytest

from deploy.local.clickhouse.repair import KEPT
from tests.support.services import clickhouse_front, free_port, front_url

pytestmark = pytest.mark.clickhouse

WIDE = "min_bytes_for_wide_part = 0, max_bytes_to_merge_at_max_space_in_pool = 1"
MADE = (
    "CREATE DATABASE h",
    f"CREATE TABLE h.t (x UInt64, s String) ENGINE = MergeTree ORDER BY x SETTINGS {WIDE}",
    "CREATE TABLE h.u (x UInt64) ENGINE = MergeTree ORDER BY x",
    "INSERT INTO h.t SELECT number, 'a' FROM numbers(1000)",
    "INSERT INTO h.t SELECT number, 'b' FROM numbers(500)",
    "INSERT INTO h.u VALUES (1)",
    "ALTER TABLE h.t DELETE WHERE x = 3 SETTINGS mutations_sync = 2",
    "CREATE TABLE h.v (x UInt64) ENGINE = MergeTree ORDER BY x",
)
BROKEN = "SELECT table, name FROM system.detached_parts"


class Served:
    """A front on a folder, which can be asked and killed."""

    def __init__(self, path: Path) -> None:
        self.port = free_port()
        self.running = clickhouse_front(path, self.port)

    def __enter__(self) -> Self:
        self.process = self.running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.running.__exit__(None, None, None)

    def ask(self, sql: str) -> httpx.Response:
        return httpx.post(front_url(self.port), content=sql, timeout=30)

    def rows(self, sql: str) -> str:
        answer = self.ask(sql)
        assert answer.status_code == 200, answer.text
        return answer.text.strip()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "clickhouse"
    with Served(path) as front:
        for sql in MADE:
            front.rows(sql)
    return path


def folder(path: Path) -> Path:
    """Of the table ``t``."""
    return next(path.glob("store/*/*/mutation_*.txt")).parent


def definition(path: Path, table: str) -> Path:
    return path / "metadata" / "h" / f"{table}.sql"


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def part(path: Path) -> Path:
    return max(folder(path).glob("all_*"))


def leave_empty(path: Path) -> None:
    for file in (next(folder(path).glob("mutation_*")), folder(path) / "format_version.txt"):
        empty(file)
    empty(definition(path, "t"))
    empty(path / "metadata" / "h.sql")


def leave_cut(path: Path) -> None:
    cut(next(folder(path).glob("mutation_*")))
    cut(definition(path, "t"))
    cut(path / "metadata" / "h.sql")


def leave_temporary(path: Path) -> None:
    empty(folder(path) / "tmp_mutation_9.txt")
    empty(definition(path, "t").with_suffix(".sql.tmp"))
    shutil.copytree(part(path), folder(path) / "tmp_insert_all_99_99_0")
    shutil.rmtree(path / KEPT)  # a database's definition needs no copy
    cut(path / "metadata" / "h.sql")


@pytest.mark.parametrize("damage", [leave_empty, leave_cut, leave_temporary])
def test_it_starts_and_has_lost_nothing_from(damage: Callable[[Path], None], filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "clickhouse"
    shutil.copytree(filled, path, symlinks=True)
    damage(path)
    with Served(path) as front:
        assert front.rows("SELECT count() FROM h.t") == "1498"
        assert front.rows("SELECT count() FROM h.u") == "1"
        assert front.rows(BROKEN) == ""
        front.rows("INSERT INTO h.t VALUES (1, 'c')")


def test_a_part_with_empty_files_is_put_aside_at_the_start_and_named(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "clickhouse"
    shutil.copytree(filled, path, symlinks=True)
    for old in [path for path in folder(path).glob("all_*") if len(path.name.split("_")) == 4]:
        shutil.rmtree(old)  # what it was made from is gone, as it is some minutes later
    broken = part(path)
    empty(broken / "x.cmrk2")
    with Served(path) as front:
        assert front.rows("SELECT count() FROM h.t") == "999"
        assert front.rows(BROKEN).split("\t")[0] == "t"
        assert broken.name in front.rows(BROKEN)


def test_a_definition_without_a_copy_is_put_aside_and_the_others_are_read(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "clickhouse"
    shutil.copytree(filled, path, symlinks=True)
    shutil.rmtree(path / KEPT)
    cut(definition(path, "u"))
    with Served(path) as front:
        assert front.rows("SHOW TABLES FROM h").split() == ["t", "v"]
        front.rows(MADE[2])
    log = path.with_suffix(".log").read_text()
    assert "put aside, its table has to be made again" in log


def test_what_was_dropped_does_not_come_back(filled: Path, tmp_path: Path) -> None:
    path = tmp_path / "clickhouse"
    shutil.copytree(filled, path, symlinks=True)
    with Served(path) as front:
        front.rows("DROP TABLE h.v SYNC")
    assert not (path / KEPT / "metadata" / "h" / "v.sql").exists()
    with Served(path) as front:
        assert front.rows("SHOW TABLES FROM h").split() == ["t", "u"]
