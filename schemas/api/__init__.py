"""The description of the API: its words, shapes and routes in, an OpenAPI document out."""
