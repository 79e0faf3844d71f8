"""Events and changes in, signed requests to the endpoints that subscribe to them out."""
