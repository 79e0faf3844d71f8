"""Settings in, the content of a service's client files out: certificates and passwords.

``service`` is ``kafka`` or ``clickhouse``: its settings begin with that. Errors name the file's variable.
"""

import ssl
from pathlib import Path

from schemas.errors import CannotStart
from schemas.settings import Settings, variable


def _setting(settings: Settings, name: str) -> str:
    return str(getattr(settings, name))


def tls_context(settings: Settings, service: str) -> ssl.SSLContext:
    """Trusts the service's authority, else the system's, and shows the client's certificate; raises ``CannotStart``."""
    name = f"{service}_ca_file"
    try:
        context = ssl.create_default_context(cafile=_setting(settings, name) or None)
        own = _setting(settings, f"{service}_cert_file")
        if own:
            name = f"{service}_cert_file"
            context.load_cert_chain(own, _setting(settings, f"{service}_key_file") or None)
    except (OSError, ssl.SSLError) as error:
        raise CannotStart(f"{variable(name)}={_setting(settings, name)}: {error}") from None
    return context


def password_from_file(settings: Settings, service: str) -> str:
    """Raises ``CannotStart``."""
    name = f"{service}_password_file"
    try:
        return Path(_setting(settings, name)).read_text().strip()
    except OSError as error:
        raise CannotStart(f"{variable(name)}={_setting(settings, name)}: {error}") from None
