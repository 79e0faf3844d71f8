"""Options, environment and a file of profiles in; the address and the key that a command uses, out.

The first of these wins: an option, ``HEADWATER_URL`` and ``HEADWATER_KEY`` (or ``HEADWATER_KEY_FILE``), the profile in
``~/.config/headwater/config.toml``, then the stack on this machine. A key is never printed: not in an error, not in
``repr``. The published key of the local stack goes to loopback addresses alone.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from schemas.control.development import SECRET_KEY, is_loopback
from schemas.settings import Settings

URL, KEY, KEY_FILE, PROFILE = "HEADWATER_URL", "HEADWATER_KEY", "HEADWATER_KEY_FILE", "HEADWATER_PROFILE"
KNOWN = frozenset({"url", "key", "key_file", "environment"})
MAX_KEY = 512
LOCAL = "the stack on this machine"


class ConfigError(Exception):
    """An unusable configuration; the text names the necessary change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """The options that every command takes."""

    url: str | None = None
    key: str | None = field(default=None, repr=False)
    key_file: str | None = None
    profile: str | None = None
    environment: str | None = None
    """Of the workspace, in place of the key's own."""
    as_json: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """Where a command calls, and with which key."""

    url: str
    key: str = field(repr=False)
    environment: str | None = None
    source: str = ""
    """Where the address came from, for a person."""


def config_file(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "headwater" / "config.toml"


def api_access(options: ClientOptions, environ: Mapping[str, str] = os.environ) -> ApiAccess:
    """Raises ``ConfigError``: a profile that is not there, a key file that others may read, no key for a host."""
    name = options.profile or environ.get(PROFILE, "")
    profile = _profile(config_file(environ), name)
    url, source = next(
        (value, where)
        for value, where in (
            (options.url, "--url"),
            (environ.get(URL), URL),
            (profile.get("url"), f"profile {name or 'default'}"),
            (_local_url(), LOCAL),
        )
        if value
    )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{source}: {url!r} is no address such as https://events.example.com")
    if parts.username or parts.password:
        raise ConfigError(f"{source}: the address holds a password; the key belongs into {KEY}")
    key = _key(options, environ, profile)
    if not key and is_loopback(parts.hostname):
        key = SECRET_KEY
    if not key:
        raise ConfigError(f"no key for {url}: set {KEY}, {KEY_FILE} or a profile in {config_file(environ)}")
    # a key goes into a header: characters that no header may hold are a mistake of copying
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("the key holds characters that no key has: look for a line break or a quotation mark in it")
    return ApiAccess(
        url=url.rstrip("/"), key=key, environment=options.environment or profile.get("environment"), source=source
    )


def _local_url() -> str:
    settings = Settings()
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - to connect, not to listen
    return f"http://{host}:{settings.port}"


def _key(options: ClientOptions, environ: Mapping[str, str], profile: Mapping[str, str]) -> str:
    for value, file in (
        (options.key, options.key_file),
        (environ.get(KEY), environ.get(KEY_FILE)),
        (profile.get("key"), profile.get("key_file")),
    ):
        if value:
            return value.strip()
        if file:
            return _secret_text(Path(file).expanduser()).strip()
    return ""


def _secret_text(path: Path) -> str:
    """The text of a file that only its owner may read."""
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"{path} holds a key and others may read it: chmod 600 {path}")
    return text


def _profile(path: Path, name: str) -> dict[str, str]:
    """The profile of that name, without a name ``default``, which need not be there."""
    if not path.exists():
        if name:
            raise ConfigError(f"no profile {name!r}: {path} is not there")
        return {}
    try:
        profiles: dict[str, Any] = tomllib.loads(_secret_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    profile = profiles.get(name or "default", {} if not name else None)
    if not isinstance(profile, dict):
        names = ", ".join(sorted(key for key, value in profiles.items() if isinstance(value, dict))) or "none"
        raise ConfigError(f"no profile {name!r} in {path}; there are: {names}")
    wrong = [key for key, value in profile.items() if key not in KNOWN or not isinstance(value, str)]
    if wrong:
        raise ConfigError(f"{path}, profile {name or 'default'}: {wrong[0]} is not one of {', '.join(sorted(KNOWN))}")
    return profile
