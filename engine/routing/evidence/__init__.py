"""What came of it: costs and their baselines, reports, health, the story of an intent, and why none rested."""
