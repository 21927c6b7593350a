"""Questions about rulebooks: check, explain, show."""
