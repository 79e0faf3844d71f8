"""A request of the read API in, its workspace, parameters and clients out."""
