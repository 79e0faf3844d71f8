"""Events of a contact in, its attributes, conditions and memberships out."""
