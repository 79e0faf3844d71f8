"""The body of `POST /graphql` in; a checked model out."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from schemas.api.requests.body import Body


class GraphQLRequest(Body):
    """As https://graphql.github.io/graphql-over-http has it; other members are ignored."""

    model_config = ConfigDict(extra="ignore")
    query: Annotated[str, Field(pattern=r"\S")]
    variables: dict[str, Any] | None = None
    operation_name: Annotated[str | None, Field(alias="operationName")] = None
