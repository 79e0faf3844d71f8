"""`python -m ingest`: the environment in, the edge on its port out; pure."""

import schemas.compiled.use  # noqa: F401 - before the modules that it finds

# isort: split
from ingest.app import build_app, build_edge
from schemas.service.process import read_settings, set_up_logging
from schemas.service.web import serve
from schemas.settings import variable


def main() -> None:
    settings = read_settings()
    set_up_logging(settings)
    app = build_app(build_edge(settings))
    stack = f"{settings.bootstrap} {settings.topic_prefix}" if settings.edges > 1 else ""
    serve(app, settings.host, settings.port, settings.drain_s, name=variable("port"), stack=stack)


if __name__ == "__main__":
    main()
