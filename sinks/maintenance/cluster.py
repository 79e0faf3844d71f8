"""A statement for one server in, the same for the replicas of a cluster out; and the settings of each replica's host.

No statement runs ``ON CLUSTER``: each goes to each host by itself. So an unreachable host does not hold up the others,
and running the same again brings it up to date.
"""

import re
from urllib.parse import urlsplit, urlunsplit

from schemas.errors import CannotStart
from schemas.settings import Settings
from sinks.clickhouse.connect import connected

_CREATE = re.compile(r"CREATE TABLE(?: IF NOT EXISTS)? (\w+)\.(\w+)")
_ENGINE = re.compile(r"^ENGINE = (\w*MergeTree)(?:\(([^)\n]*)\))?", re.MULTILINE)
_WINDOW = "non_replicated_deduplication_window = 10000"
_REPLICATED_WINDOW = "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800"
_HOSTS = (
    "SELECT DISTINCT shard_num, host_name FROM system.clusters WHERE cluster = {cluster:String}"
    " ORDER BY shard_num, host_name"
)


def replicated(statement: str) -> str:
    """With the engine's replicated kind, its place in Keeper by the host's macros ``shard`` and ``replica``; pure."""
    table = _CREATE.search(statement)
    if table is None:
        return statement
    place = f"'/clickhouse/tables/{{shard}}/{table[1]}/{table[2]}', '{{replica}}'"

    def engine(match: re.Match[str]) -> str:
        return f"ENGINE = Replicated{match[1]}({place}{f', {match[2]}' if match[2] else ''})"

    return _ENGINE.sub(engine, statement).replace(_WINDOW, _REPLICATED_WINDOW)


async def hosts_of(settings: Settings) -> list[Settings]:
    """The settings of each replica, or the same where there is no cluster.

    Raises ``CannotStart`` where ClickHouse does not know the cluster, or it has shards.
    """
    name = settings.clickhouse_cluster
    if not name:
        return [settings]
    async with await connected(settings) as client:
        hosts = (await client.query(_HOSTS, {"cluster": name})).result_rows
    if not hosts:
        raise CannotStart(f"ClickHouse knows no cluster {name}: system.clusters names those that it knows")
    if len({shard for shard, _ in hosts}) > 1:
        raise CannotStart(f"the cluster {name} has shards: replicas of one shard are supported, several shards are not")
    return [settings.model_copy(update={"clickhouse_url": at_host(settings.clickhouse, host)}) for _, host in hosts]


def at_host(url: str, host: str) -> str:
    """The same user, port and scheme at another host; pure."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    name = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{user}{at}{name}{port}"))


def refuse_cluster(settings: Settings, what: str, instead: str) -> None:
    """Raise ``CannotStart`` where tables lie on the replicas of a cluster."""
    if settings.clickhouse_cluster:
        raise CannotStart(f"{what} is not possible with HEADWATER_CLICKHOUSE_CLUSTER: {instead}")
