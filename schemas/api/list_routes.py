"""The rows of the route table for named lists; pure."""

from schemas.api.route import RouteSpec, get, write

LIST_READS: tuple[RouteSpec, ...] = (
    get("/v1/lists", "segments:read", "ValueList", "Named lists of values, which rules refer to", listed=True),
    get("/v1/lists/{name}", "segments:read", "ValueList", "A list: its size, and the segments that use it"),
    get("/v1/lists/{name}/values", "segments:read", "ListedValue", "Its values, in order", listed=True),
)
LIST_WRITES: tuple[RouteSpec, ...] = (
    write("POST", "/v1/lists", "segments:write", "NewValueList", {201: "ValueList"}, "Make a named list"),
    write(
        "PUT",
        "/v1/lists/{name}",
        "segments:write",
        "ListReplacement",
        {200: "ValueList"},
        "Replace all its values; the segments that use it are judged anew",
    ),
    write("POST", "/v1/lists/{name}/values", "segments:write", "ListChange", {200: "ValueList"}, "Add values to it"),
    write(
        "DELETE", "/v1/lists/{name}/values", "segments:write", "ListChange", {200: "ValueList"}, "Remove values from it"
    ),
    write("DELETE", "/v1/lists/{name}", "segments:write", "", {204: ""}, "Remove it", errors={409: "Error"}),
)
