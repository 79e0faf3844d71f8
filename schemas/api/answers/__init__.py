"""The answers of the API as types: OpenAPI describes answers by them, and tests hold real answers against them."""
