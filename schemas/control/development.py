"""The two keys that the README prints in; whether a process that others can reach may run with them, out; pure."""

from ipaddress import ip_address
from typing import TYPE_CHECKING

from schemas.errors import CannotStart
from schemas.settings import PREFIX, Settings, variable

if TYPE_CHECKING:
    from schemas.control.control_state import ControlState

SECRET_KEY, PUBLIC_KEY = "sk_dev_local", "pk_dev_local"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener at ``host``."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_keys(control: "ControlState", settings: Settings, now_ms: int, host: str = "host") -> None:
    """Raises ``CannotStart`` if a published key is valid and the process listens beyond loopback.

    ``host`` is the name of the setting with the address to listen on.
    """
    address = getattr(settings, host)
    if is_loopback(address) or settings.public_dev_keys:
        return
    valid = [key for key in (SECRET_KEY, PUBLIC_KEY) if control.key(key, now_ms) is not None]
    if valid:
        raise CannotStart(
            f"{variable(host)}={address} would let the network in with the published {' and '.join(valid)}: make "
            f"keys of your own and revoke these on a loopback address, or set {PREFIX}PUBLIC_DEV_KEYS=1 if you mean it"
        )
