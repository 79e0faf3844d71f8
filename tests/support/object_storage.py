"""An S3 server of its own as a child process, with one bucket; and AWS's variables for it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.services import child, free_port, listens

BUCKET, KEY, SECRET = "backups", "a-tests-key", "a-tests-'secret'/key+"


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    endpoint: str

    def variables(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}

    def names(self, prefix: str) -> list[str]:
        """Of the objects."""
        listing = httpx.get(
            f"{self.endpoint}/{BUCKET}", params={"list-type": "2", "prefix": prefix}, headers=_SIGNED, trust_env=False
        )
        return [part.partition("</Key>")[0] for part in listing.text.split("<Key>")[1:]]

    def content(self, name: str) -> bytes:
        return httpx.get(f"{self.endpoint}/{BUCKET}/{name}", headers=_SIGNED, trust_env=False).content

    def put(self, name: str, content: bytes) -> None:
        answer = httpx.put(f"{self.endpoint}/{BUCKET}/{name}", content=content, headers=_SIGNED, trust_env=False)
        answer.raise_for_status()


_SIGNED = {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request"}
"""The server looks at no more than that."""


@contextmanager
def object_storage(home: Path) -> Iterator[ObjectStorage]:
    port = free_port()
    command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    with child(command, log=home / "s3.log", ready=lambda: listens(port)):
        storage = ObjectStorage(f"http://127.0.0.1:{port}")
        made = httpx.put(f"{storage.endpoint}/{BUCKET}", headers=_SIGNED, trust_env=False)
        made.raise_for_status()
        yield storage
