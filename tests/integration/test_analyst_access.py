"""Statements that let analysts read, as far as the embedded engine can tell: it has no users, roles and policies."""

from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.analysts import TABLES, TIMES_ALONE, VIEWS, read, rendered
from schemas.settings import Settings
from sinks.maintenance.migrate import migrate

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

OPERATORS = {"quarantine", "quarantine_outcomes"}
"""Their rows are for operators, and have no environment."""


async def test_statements_are_sql_and_name_all_that_there_is(settings: Settings, tmp_path: Path) -> None:
    await migrate(settings)
    database = settings.clickhouse_database
    (tmp_path / "secret").write_text("correct horse battery")
    file = tmp_path / "analysts.toml"
    file.write_text(
        f'[[analyst]]\nuser = "anna"\nworkspace = "acme"\nenvironments = ["it"]\npassword_file = "{tmp_path}/secret"\n'
    )
    client = await clickhouse_connect.get_async_client(
        dsn=settings.clickhouse, database=database, autogenerate_session_id=False
    )
    try:
        refusals = set()
        for cluster in ("", "all"):
            for statement in rendered(settings, read(file).analyst, cluster):
                await client.query("SELECT formatQuery({one:String})", {"one": statement})
                if not cluster and not statement.startswith("GRANT"):
                    with pytest.raises(DatabaseError) as refused:
                        await client.command(statement)
                    refusals.add(refused.value.code)
        assert refusals == {497}, "ACCESS_DENIED: well formed, and not for this engine"
        with pytest.raises(DatabaseError, match="SYNTAX_ERROR"):
            await client.query("SELECT formatQuery({one:String})", {"one": "CREATE ROW POLICY FOR acme"})
        for table in TABLES:
            sql = f"SELECT count() FROM {table} WHERE workspace = 'acme' AND environment = 'it'"
            assert (await client.query(sql)).result_rows == [(0,)]
        made = await client.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND NOT startsWith(name, '_')"
            " AND engine != 'MaterializedView'"
        )
        assert {name for (name,) in made.result_rows} == {*TABLES, *VIEWS, *TIMES_ALONE, *OPERATORS}
    finally:
        await client.close()
