"""Definitions of typed columns of two workspaces in, a database that refuses the one's; the other one's are filled."""

from types import SimpleNamespace
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.control.control_state import ControlState, TypedColumn, encode
from schemas.settings import Settings
from sinks.maintenance.typed_columns import TypedColumnKeeper, mark_of
from tests.support.builders import ENVIRONMENT, NOW_MS

HOME = ("acme", ENVIRONMENT)


class Refusing:
    """A client of a database without rows that fails for a workspace; ``filled`` are the workspaces it reports."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace
        self.filled: list[str] = []

    async def query(self, _sql: str, values: dict[str, Any] | None = None) -> Any:
        if values is None:
            return SimpleNamespace(result_rows=[])
        if values["workspace"] == self._workspace:
            raise DatabaseError("no space left on device")
        return SimpleNamespace(result_rows=[(0,)])

    async def insert(self, _table: str, rows: list[list[Any]], **_settings: Any) -> None:
        self.filled += [row[0] for row in rows]


@pytest.mark.parametrize("failing", ["acme", "other"])
async def test_a_workspace_that_cannot_be_filled_holds_up_no_other(failing: str) -> None:
    state = ControlState()
    for workspace in ("acme", "other"):
        column = TypedColumn(
            id=f"{ENVIRONMENT}.total",
            workspace=workspace,
            environment=ENVIRONMENT,
            property="total",
            type="number",
            created_ms=NOW_MS,
        )
        state.apply(*encode("typed_column", column))
    client: Any = Refusing(failing)
    keeper = TypedColumnKeeper(Settings(), state)
    for _ in range(2):
        with pytest.raises(DatabaseError):
            await keeper.keep(client, grace_s=0)
    assert set(client.filled) == {"acme", "other"} - {failing}


def test_a_mutation_of_recent_rows_does_not_pass_for_one_of_all() -> None:
    typed = [("total", "number")]
    whole = mark_of(HOME, typed, whole=True)
    assert whole == mark_of(HOME, list(typed), whole=True), "after a restart it is found again"
    recent, none = mark_of(HOME, typed, whole=False), mark_of(HOME, [], whole=True)
    assert len({whole, recent, none, mark_of(("x", ENVIRONMENT), typed, whole=True)}) == 4
