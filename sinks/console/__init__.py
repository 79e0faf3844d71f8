"""The web console: pages over the public API, and a live view of each event's path through the pipeline."""
