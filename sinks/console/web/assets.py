"""The files under `static/` in; each under a path with its digest, compressed once, cached for ever, out."""

import gzip
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from schemas.errors import ApiError

FOLDER = Path(__file__).parents[1] / "static"
PREFIX = "/console/static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_URL = re.compile(r"[0-9a-f]{16}")


class Assets:
    """Reads about a dozen files at construction."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, str, bytes, bytes]] = {}
        for file in sorted(FOLDER.rglob("*")):
            kind = _TYPES.get(file.suffix)
            if kind is None:
                continue
            raw = file.read_bytes()
            digest = hashlib.sha256(raw).hexdigest()[:16]
            self._files[file.name] = (digest, kind, raw, gzip.compress(raw, 9, mtime=0))

    def url(self, name: str) -> str:
        """The path of a file, which changes with its content."""
        return f"{PREFIX}/{self._files[name][0]}/{name}"

    async def serve(self, request: Request) -> Response:
        """Serves a file; raises ``ApiError`` (404)."""
        file = self._files.get(request.path_params["name"])
        if file is None or not _URL.fullmatch(request.path_params["digest"]):
            raise ApiError("not_found", "no such file")
        digest, kind, raw, packed = file
        lasting = request.path_params["digest"] == digest
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if lasting else "no-store",
            "Vary": "Accept-Encoding",
        }
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, media_type=kind, headers={**headers, "Content-Encoding": "gzip"})
        return Response(raw, media_type=kind, headers=headers)
