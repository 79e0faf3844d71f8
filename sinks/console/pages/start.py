"""A visit in; the first steps with the visitor's own key out."""

from starlette.responses import Response

from sinks.console.web.visit import Visit


async def start(visit: Visit) -> Response:
    return visit.page("start.html", title="Live", base=visit.base)
