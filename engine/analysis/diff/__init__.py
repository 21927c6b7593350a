"""What differs between two rulebooks: two profiles, two homes, or a home and what it was at a revision."""
