"""What every request of the edge shares: bodies, keys' rates, bounds, repeats, the way to the read API."""
