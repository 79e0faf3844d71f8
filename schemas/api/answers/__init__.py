"""The API's responses as types: OpenAPI describes responses by them, and tests check real responses against them."""
