"""The read API: requests in, what the tables and `control` say out."""
