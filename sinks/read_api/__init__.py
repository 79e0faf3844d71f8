"""The read API: requests in; rows of the tables, and definitions of `control`, out."""
