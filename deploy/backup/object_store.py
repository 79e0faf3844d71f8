"""An address `s3://BUCKET/PREFIX` and AWS's variables in; the objects below it, written and read, out.

Errors name the address and the variables, never their values.
"""

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import CannotStart

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

SCHEME = "s3://"
ADDRESS = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<prefix>[\w.-]+(?:/[\w.-]+)*)/?", re.ASCII)
KEY, SECRET, TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
RETRIES = 5
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where a backup lies. Without a key each client shows the identity of its own machine."""

    name: str
    prefix: str
    endpoint: str
    region: str
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        return f"{SCHEME}{self.name}/{self.prefix}"

    @property
    def url(self) -> str:
        """As ClickHouse has it."""
        return f"{self.endpoint}/{self.name}/{self.prefix}"

    def without_secrets(self, text: str) -> str:
        for secret in (self.secret, self.token, self.key):
            text = text.replace(secret, "***") if secret else text
        return text


def bucket_of(address: str, environment: Mapping[str, str]) -> Bucket:
    """Raises ``CannotStart`` for an address that is none, and for a key without its secret."""
    match = ADDRESS.fullmatch(address)
    if match is None or {".", ".."} & set(match["prefix"].split("/")):
        raise CannotStart(f"{address} is no address of a backup: give s3://BUCKET/PREFIX, of letters, digits, . _ - /")
    key, secret, token = (_value(name, environment) for name in (KEY, SECRET, TOKEN))
    if bool(key) != bool(secret) or (token and not key):
        raise CannotStart(f"{KEY} and {SECRET} go together, and {TOKEN} with them (or their files, by _FILE)")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    given = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    endpoint = (given or f"https://s3.{region}.amazonaws.com").rstrip("/")
    if not re.fullmatch(r"https?://[^/?#@\s']+", endpoint):
        raise CannotStart("AWS_ENDPOINT_URL is no address such as https://s3.example.com, without user and path")
    return Bucket(
        name=match["bucket"],
        prefix=match["prefix"],
        endpoint=endpoint,
        region=region,
        key=key,
        secret=secret,
        token=token,
    )


def _value(name: str, environment: Mapping[str, str]) -> str:
    path = environment.get(f"{name}_FILE")
    if not path:
        return environment.get(name, "")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise CannotStart(f"{name}_FILE={path}: {error.strerror}") from None


class ObjectStore:
    """The objects of one backup, by their names after the prefix; raises ``CannotStart`` where S3 refuses.

    The library's calls for asyncio crash some interpreters that end: so each call has a thread.
    """

    def __init__(self, bucket: Bucket) -> None:
        try:
            import obstore.store  # noqa: PLC0415 - an extra of the package
        except ImportError:
            raise CannotStart("a backup in S3 needs a package more: pip install 'headwater[s3]'") from None
        self.bucket = bucket
        self._client = obstore
        config: S3Config = {"endpoint": bucket.endpoint, "region": bucket.region, "virtual_hosted_style_request": False}
        if bucket.key:
            config |= {"access_key_id": bucket.key, "secret_access_key": bucket.secret}
        if bucket.token:
            config["session_token"] = bucket.token
        self._store: S3Store = obstore.store.S3Store(
            bucket.name,
            prefix=bucket.prefix,
            config=config,
            client_options={"allow_http": True, "timeout": "600 seconds"},
            retry_config={"max_retries": RETRIES},
        )

    async def is_empty(self) -> bool:
        return not await self._ask(lambda: self._client.list(self._store, chunk_size=1).collect())

    async def upload(self, folder: Path, name: str) -> None:
        await self._ask(lambda: self._client.put(self._store, name, folder / name))

    async def download(self, folder: Path, name: str) -> None:
        """The object as a file of this name; raises ``FileNotFoundError`` where it is missing."""

        def fetch() -> None:
            answer = self._client.get(self._store, name)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("wb") as file:
                file.writelines(answer.stream(min_chunk_size=CHUNK))

        await self._ask(fetch)

    async def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(call)
        except (self._client.exceptions.BaseError, OSError) as error:
            reason = self.bucket.without_secrets(str(error).partition("\n\n")[0])
            if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in reason:
                raise
            raise CannotStart(f"{self.bucket.address}: {reason[:400]}") from None


def store_of(address: str) -> ObjectStore | None:
    """The objects at an address; ``None`` for a folder."""
    return ObjectStore(bucket_of(address, os.environ)) if address.startswith(SCHEME) else None
