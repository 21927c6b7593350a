"""A router at work: where market and intents come from, the desk around it, and what is shown while it runs."""
