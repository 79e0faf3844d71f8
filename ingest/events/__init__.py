"""Events of every dialect in, records on `events` and answers out: the edge's hot path."""
