"""JSON bodies of requests in; checked models out; OpenAPI describes the bodies by the same models."""
