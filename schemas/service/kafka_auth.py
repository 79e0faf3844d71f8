"""Settings in, the connection options of a Kafka client out: address, TLS and SASL.

Every client of every process is made with ``connection(settings)``; Faust's take the same as ``credentials``.
Certificates are read for each new client, so a restart uses the newest files.
"""

from importlib import import_module
from typing import Any

from schemas.client_files import password_from_file, tls_context
from schemas.errors import CannotStart
from schemas.settings import Settings, variable

METADATA_MAX_AGE_MS = 60_000
"""A client notices a new topic, or a moved leader without an error, this late at most."""


def connection(settings: Settings) -> dict[str, Any]:
    """Keyword arguments of any aiokafka client; raises ``CannotStart`` for a file or function that is not there."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol == "PLAINTEXT":
        return options
    options["ssl_context"] = tls_context(settings, "kafka")
    mechanism = settings.kafka_sasl_mechanism
    if mechanism == "OAUTHBEARER":
        options |= {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": _token_provider(settings)}
    elif mechanism:
        options |= {
            "sasl_mechanism": mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password or password_from_file(settings, "kafka"),
        }
    return options


def _token_provider(settings: Settings) -> Any:
    from schemas.token_provider import TokenProvider  # noqa: PLC0415 - a process that only checks its settings needs no aiokafka

    module, _, name = settings.kafka_token_provider.partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CannotStart(f"{variable('kafka_token_provider')}={settings.kafka_token_provider}: {error}") from None
    return TokenProvider(function)
