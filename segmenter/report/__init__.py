"""The report of a snapshot: its charts."""
