"""The web console: pages over the public API, and a live view of what the pipeline does with each event."""
