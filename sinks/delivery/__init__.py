"""A delivery in, one signed attempt and what follows from its answer out."""
