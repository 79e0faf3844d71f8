"""Settings in, what a client of ClickHouse needs to reach the server out: its address, user and TLS."""

import ssl
from pathlib import Path
from typing import Any

from schemas.errors import CannotStart
from schemas.settings import Settings, variable


def database_connection(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of any clickhouse-connect client; raises ``CannotStart`` for a file that cannot be used."""
    options: dict[str, Any] = {
        "dsn": settings.clickhouse,
        "interface": settings.clickhouse_interface,
        "autogenerate_session_id": False,
    }
    if settings.clickhouse_password_file:
        options["password"] = _password(settings)
    if settings.clickhouse_ca_file or settings.clickhouse_cert_file:
        _check_certificates(settings)
        options |= {
            "ca_cert": settings.clickhouse_ca_file or None,
            "client_cert": settings.clickhouse_cert_file or None,
            "client_cert_key": settings.clickhouse_key_file or None,
        }
    return options


def _password(settings: Settings) -> str:
    try:
        return Path(settings.clickhouse_password_file).read_text().strip()
    except OSError as error:
        name = variable("clickhouse_password_file")
        raise CannotStart(f"{name}={settings.clickhouse_password_file}: {error}") from None


def _check_certificates(settings: Settings) -> None:
    name = "clickhouse_ca_file"
    if settings.clickhouse_interface != "https":
        raise CannotStart(f"{variable(name)} and {variable('clickhouse_cert_file')} need CLICKHOUSE_URL=https://...")
    try:
        context = ssl.create_default_context(cafile=settings.clickhouse_ca_file or None)
        if settings.clickhouse_cert_file:
            name = "clickhouse_cert_file"
            context.load_cert_chain(settings.clickhouse_cert_file, settings.clickhouse_key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"{variable(name)}={getattr(settings, name)}: {error}") from None
