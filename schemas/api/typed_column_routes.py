"""The rows of the route table for typed columns; pure."""

from schemas.api.route import get, write

_ONE = "/v1/typed-columns/{property:path}"
TYPED_READS = (
    get("/v1/typed-columns", "contacts:read", "TypedColumn", "Properties that are typed columns", listed=True),
    get(_ONE, "contacts:read", "TypedColumn", "Whether all stored events have it as a typed column"),
)
TYPED_WRITES = (
    write(
        "PUT",
        _ONE,
        "admin",
        "TypedColumnEdit",
        {202: "TypedColumn"},
        "Have a property of events as a typed column, for fast SQL",
        errors={409: "Error"},
    ),
    write("DELETE", _ONE, "admin", "", {204: ""}, "Have it as a typed column no more"),
)
