"""`python -m ingest`: the environment in, the edge on its port out; pure."""

from ingest.app import build_app, build_edge
from schemas.service.process import read_settings, set_up_logging
from schemas.service.web import serve


def main() -> None:
    settings = read_settings()
    set_up_logging(settings)
    app = build_app(build_edge(settings))
    serve(app, settings.host, settings.port, settings.drain_s, shared=settings.edges > 1)


if __name__ == "__main__":
    main()
