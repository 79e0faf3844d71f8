"""What happened in, signed requests to the endpoints that asked for it out."""
