"""Records on the topics: their shapes, their bytes, their identity."""
