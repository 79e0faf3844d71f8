"""`GET /openapi.json`, `GET /docs` and the files of that page in; the description of the API, and Swagger UI, out.

Both are public, without a key. The page loads nothing from other servers: its content policy forbids it.
"""

import asyncio
from functools import cache
from importlib.resources import files

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ingest import doc_pages
from ingest.dialects import OPERATIONS
from ingest.vendor_examples import example_of
from schemas.api.document import document
from schemas.errors import ApiError

_FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
# Swagger UI sets styles of elements and draws its icons from data URIs
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Headwater's API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<nav style="font-family: sans-serif; padding: 1rem">{doc_pages.LINKS}</nav>
<main style="font: 16px/1.5 sans-serif; max-width: 60rem; padding: 0 1rem">{doc_pages.fragment("start")}</main>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
""".encode()
_START = b"""SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
});
"""


@cache
def written() -> bytes:
    """The document, made once: it follows from the code alone."""
    vendors = [
        (o.source, method, o.path, example_of(o.source, o.path))
        for o in OPERATIONS
        if o.source != "altacee"
        for method in o.methods
    ]
    return orjson.dumps(document(vendors))


async def openapi(_request: Request) -> Response:
    text = await asyncio.to_thread(written)  # the first call takes some 0.2 s
    return Response(text, media_type="application/json", headers={"Access-Control-Allow-Origin": "*"})


async def page(_request: Request) -> Response:
    return Response(PAGE, media_type="text/html", headers={**_SAFE, "Content-Security-Policy": POLICY})


async def part(request: Request) -> Response:
    """Raises ``ApiError`` (404) for a file that is not the page's."""
    name = request.path_params["name"]
    if name in doc_pages.TITLES:
        shown = {**_SAFE, "Content-Security-Policy": POLICY}
        return Response(doc_pages.html(name), media_type="text/html", headers=shown)
    if name == "start.js":
        return Response(_START, media_type="text/javascript", headers=_SAFE)
    if name not in _FILES:
        raise ApiError("not_found", "no such file")
    kept = {**_SAFE, "Cache-Control": "public, max-age=86400"}
    return Response(_read(name), media_type=_FILES[name], headers=kept)


@cache
def _read(name: str) -> bytes:
    return (files("swagger_ui") / "static" / name).read_bytes()
