"""What workspaces define, and what each key may do."""
