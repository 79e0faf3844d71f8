"""GraphQL over the same reads and writes as the REST paths."""
