"""Questions about rulebooks and decisions, and the answers for people and programs; the command line calls these."""
