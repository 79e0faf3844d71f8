"""A delivery in, one signed attempt and the delivery's next state out."""
