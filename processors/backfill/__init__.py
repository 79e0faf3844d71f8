"""History of a new rule in, the same changes as if it had always been there out."""
