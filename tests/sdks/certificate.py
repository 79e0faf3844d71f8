"""A certificate for an address on loopback, and a JVM that trusts it: for SDKs that speak TLS only."""

import ssl
import subprocess
from pathlib import Path

from tests.support.certificates import Authority

PASSWORD = "changeit"


def loopback(folder: Path) -> ssl.SSLContext:
    """The server's side; ``folder`` holds ``trust.jks`` afterwards."""
    authority = Authority(folder)
    server = authority.sign("server")
    stored = ("-keystore", str(folder / "trust.jks"), "-storepass", PASSWORD)
    subprocess.run(
        ("keytool", "-importcert", "-noprompt", "-alias", "loopback", "-file", str(authority.certificate), *stored),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    return context


def trusting(folder: Path) -> dict[str, str]:
    """The environment of a JVM that trusts the certificate."""
    options = f"-Djavax.net.ssl.trustStore={folder / 'trust.jks'} -Djavax.net.ssl.trustStorePassword={PASSWORD}"
    return {"JAVA_TOOL_OPTIONS": f"{options} -Djava.io.tmpdir={folder}"}
