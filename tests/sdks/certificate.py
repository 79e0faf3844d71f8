"""A certificate for an address on loopback, and a JVM that trusts it: for SDKs that speak TLS only."""

import ipaddress
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "changeit"


def loopback(folder: Path) -> ssl.SSLContext:
    """The server's side; ``folder`` holds ``trust.jks`` afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=3))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = folder / "server.pem"
    pem.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    public = folder / "public.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    stored = ("-keystore", str(folder / "trust.jks"), "-storepass", PASSWORD)
    subprocess.run(
        ("keytool", "-importcert", "-noprompt", "-alias", "loopback", "-file", str(public), *stored),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def trusting(folder: Path) -> dict[str, str]:
    """The environment of a JVM that trusts the certificate."""
    options = f"-Djavax.net.ssl.trustStore={folder / 'trust.jks'} -Djavax.net.ssl.trustStorePassword={PASSWORD}"
    return {"JAVA_TOOL_OPTIONS": f"{options} -Djava.io.tmpdir={folder}"}
