"""A folder in; an embedded broker that refuses clients without a certificate or a password out."""

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from deploy.local import kafka as embedded_kafka
from tests.support import services
from tests.support.certificates import Authority, Certificate

USER = "headwater"
PASSWORD = "p4ss w$rd;:@/"
"""What a password may have in it."""
_JAAS = "org.apache.kafka.common.security"

LISTENERS = """\
listeners=INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller},\
TLS://127.0.0.1:{tls},SASL://127.0.0.1:{sasl}
advertised.listeners=INTERNAL://127.0.0.1:{internal},TLS://127.0.0.1:{tls},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASL:SASL_SSL
inter.broker.listener.name=INTERNAL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.tls.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config={plain}
listener.name.sasl.scram-sha-256.sasl.jaas.config={scram}
listener.name.sasl.scram-sha-512.sasl.jaas.config={scram}
listener.name.sasl.oauthbearer.sasl.jaas.config={oauth}
"""


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """The addresses of its two listeners, and the clients' credentials."""

    tls: str
    sasl: str
    authority: Path
    client: Certificate

    def options(self, mechanism: str) -> dict[str, Any]:
        """Returns the settings of an accepted client: by its certificate, or by a SASL mechanism."""
        if not mechanism:
            return {
                "kafka_bootstrap_servers": self.tls,
                "kafka_security_protocol": "SSL",
                "kafka_ca_file": str(self.authority),
                "kafka_cert_file": str(self.client.certificate),
                "kafka_key_file": str(self.client.key),
            }
        variables = {
            "kafka_bootstrap_servers": self.sasl,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": mechanism,
            "kafka_ca_file": str(self.authority),
        }
        if mechanism == "OAUTHBEARER":
            return variables | {"kafka_token_provider": "tests.support.secure_kafka:token"}
        return variables | {"kafka_username": USER, "kafka_password": PASSWORD}


def token() -> str:
    """Returns an unsigned JSON web token, which the broker's own development validator accepts."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": USER, "iat": now, "exp": now + 3600})
    return ".".join(base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in parts) + "."


@contextmanager
def secure_kafka(home: Path) -> Iterator[SecureKafka]:
    """Runs until the block ends."""
    home.mkdir(parents=True, exist_ok=True)
    authority = Authority(home / "tls")
    server, client = authority.sign("server"), authority.sign("client")
    keystore = home / "tls" / "server.pem"
    keystore.write_bytes(server.key.read_bytes() + server.certificate.read_bytes())
    internal = services.free_port(4)
    ports = {"internal": internal, "controller": internal + 1, "tls": internal + 2, "sasl": internal + 3}
    text = embedded_kafka.PROPERTIES.format(port=internal, controller=internal + 1, data=home) + LISTENERS.format(
        **ports,
        keystore=keystore,
        truststore=authority.certificate,
        plain=f'{_JAAS}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
        scram=f"{_JAAS}.scram.ScramLoginModule required;",
        oauth=f"{_JAAS}.oauthbearer.OAuthBearerLoginModule required;",
    )
    properties = home / "server.properties"
    properties.write_text(text)
    java = embedded_kafka.java_with(embedded_kafka.jars())
    users = [
        word
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for word in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
    ]
    embedded_kafka.format_directory(java, properties, embedded_kafka.new_cluster_id(), *users)

    def listens() -> bool:
        return all(services.listens(ports[name]) for name in ("tls", "sasl"))

    with services.child((*java, "kafka.Kafka", str(properties)), log=home / "kafka.log", ready=listens):
        yield SecureKafka(f"127.0.0.1:{ports['tls']}", f"127.0.0.1:{ports['sasl']}", authority.certificate, client)
