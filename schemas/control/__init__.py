"""What workspaces define and who may do what."""
