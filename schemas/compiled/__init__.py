"""Which modules run compiled, and how a process finds their compiled form."""
