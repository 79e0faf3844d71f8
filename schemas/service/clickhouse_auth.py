"""Settings in, the connection options of a ClickHouse client out: address, user and TLS."""

from typing import Any

from schemas.client_files import password_from_file, tls_context
from schemas.errors import CannotStart
from schemas.settings import Settings, variable

READS = {"distributed_product_mode": "global"}
"""With several shards: the right side of a join is read from all shards, as its rows may lie on another shard."""


def read_database(settings: Settings) -> str:
    """Returns the database for reads; with several shards, the one whose tables read all shards."""
    return f"{settings.clickhouse_database}_all" if settings.clickhouse_shards > 1 else settings.clickhouse_database


def read_settings_of(settings: Settings) -> dict[str, str]:
    """ClickHouse's settings of each read."""
    return READS if settings.clickhouse_shards > 1 else {}


def database_connection(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of any clickhouse-connect client; raises ``CannotStart`` for a file that cannot be used."""
    options: dict[str, Any] = {
        "dsn": settings.clickhouse,
        "interface": settings.clickhouse_interface,
        "autogenerate_session_id": False,
    }
    if settings.clickhouse_password_file:
        options["password"] = password_from_file(settings, "clickhouse")
    if settings.clickhouse_ca_file or settings.clickhouse_cert_file:
        if settings.clickhouse_interface != "https":
            needs = f"{variable('clickhouse_ca_file')} and {variable('clickhouse_cert_file')}"
            raise CannotStart(f"{needs} need CLICKHOUSE_URL=https://...")
        tls_context(settings, "clickhouse")  # the driver takes file names: check the files here
        options |= {
            "ca_cert": settings.clickhouse_ca_file or None,
            "client_cert": settings.clickhouse_cert_file or None,
            "client_cert_key": settings.clickhouse_key_file or None,
        }
    return options
