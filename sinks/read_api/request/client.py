"""SQL with named, typed parameters in, rows as dictionaries out; one client that all requests share.

Values reach ClickHouse as parameters of the request, never inside the text of a query. While it is away a read is
refused with 503; the client keeps no session, so its queries run at the same time.
"""

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from clickhouse_connect.driver import options
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from schemas.errors import ApiError
from schemas.settings import Settings
from sinks.clickhouse.connect import FOREVER_S, code_of, provisioned, reading
from sinks.read_api.request import weight
from sinks.read_api.request.fair_share import FairShare

log = logging.getLogger(__name__)

# Where they are installed the driver would load both, 60 MB for nothing: no read asks for a data frame.
vars(options).update(np=None, pd=None)

TRANSIENT = frozenset(
    {74, 75, 76, 159, 160, 202, 203, 209, 210, 236, 241, 242, 243, 252, 279, 394, 425, 439, 516, 745, 999}
)
"""ClickHouse's codes for too much at once, out of memory, disk and time, going down, and a user that is refused."""


def stored_json(text: str) -> Any:
    """The value of a JSON column, which the encoder of answers copies as it is: nothing reads it.

    It has the type ``Any``, as an answer's type describes the value, and not this wrapper of its text.
    """
    return orjson.Fragment(text)


class ClickHouseReader:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.partitions = settings.partitions
        self._started = False
        self._fair = FairShare()
        self._limits = {"max_execution_time": str(max(1, round(settings.read_deadline_s)))}

    async def start(self) -> None:
        """Returns when ClickHouse answers and has the tables."""
        self._client: AsyncClient = await reading(self._settings, FOREVER_S)
        await provisioned(self._client, self._settings)
        self._started = True

    async def stop(self) -> None:
        await self._client.close()

    async def rows(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """Raises ``ApiError``: 503 while ClickHouse is away or overloaded, 429 where a workspace asks too much at once.

        ``parameters["workspace"]`` says whose query it is. It counts for the request (``request/weight.py``).
        """
        workspace, request = str(parameters.get("workspace", "")), weight.current()
        async with self._fair.turn(workspace):
            if request is not None:
                request.check()
            names, rows = await self._rows(sql, parameters)
            if request is not None:
                request.add(weight.size_of(rows), workspace)
            return [dict(zip(names, row, strict=True)) for row in rows]

    async def _rows(self, sql: str, parameters: dict[str, Any]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        try:
            result = await self._client.query(sql, parameters=parameters, settings=self._limits)
        except ClickHouseError as error:
            code = code_of(error)
            if code in TRANSIENT or (code is None and isinstance(error, OperationalError)):
                log.warning("ClickHouse is unavailable, retrying a read: %s", str(error)[:500])
                raise ApiError("unavailable", "the database is unavailable or overloaded; try again") from error
            raise
        return result.column_names, result.result_rows

    async def check(self) -> None:
        """Raises ``ApiError`` while reads cannot be answered."""
        if not self._started:
            raise ApiError("unavailable", "the database has not answered yet")
        await self.rows("SELECT count() FROM events WHERE workspace = ''")
