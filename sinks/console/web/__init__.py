"""What every page of the console needs: sessions, the policy, the API, files and templates."""
