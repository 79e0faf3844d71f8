"""A running cluster in, a folder with its data out; and back, into a new cluster."""
