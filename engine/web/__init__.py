"""What people and other programs see of a router: the HTTP API, the metrics, the logs, and what the dashboard reads.

Needs the extra `web`. Nothing else in the engine imports from here.
"""
