"""Environment in, the edge on its port out: `python -m ingest`."""

import uvicorn

from ingest.app import build_app, build_edge
from schemas.process import set_up_logging
from schemas.settings import Settings


def main() -> None:
    settings = Settings()
    set_up_logging(settings)
    uvicorn.run(
        build_app(build_edge(settings)),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
