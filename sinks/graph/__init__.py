"""GraphQL requests in; the read API's contacts, events and segments as one graph, and three writes, out."""
