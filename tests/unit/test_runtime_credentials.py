"""Faust's own clients are let in by the same certificate, password or token as every other."""

import ssl

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from processors.runtime.app import credentials
from schemas.token_provider import TokenProvider

CONTEXT = ssl.create_default_context()


@pytest.mark.parametrize(
    "options",
    [
        {"security_protocol": "SSL", "ssl_context": CONTEXT},
        *(
            {
                "security_protocol": "SASL_SSL",
                "ssl_context": CONTEXT,
                "sasl_mechanism": mechanism,
                "sasl_plain_username": "user",
                "sasl_plain_password": "password",
            }
            for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
        ),
        {
            "security_protocol": "SASL_SSL",
            "ssl_context": CONTEXT,
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauth_token_provider": TokenProvider(lambda: "token"),
        },
    ],
)
def test_faust_hands_on_what_every_client_has(options: dict[str, object]) -> None:
    assert credentials_to_aiokafka_auth(credentials({"bootstrap_servers": "kafka:9093", **options})) == options


def test_plain_text_needs_no_credentials() -> None:
    assert credentials({"bootstrap_servers": "kafka:9092", "security_protocol": "PLAINTEXT"}) is None


async def test_a_token_comes_from_a_function_that_blocks_or_waits() -> None:
    async def waits() -> str:
        return "waited for"

    assert await TokenProvider(lambda: "blocked for").token() == "blocked for"
    assert await TokenProvider(waits).token() == "waited for"
