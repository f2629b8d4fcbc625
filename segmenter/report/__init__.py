"""The report of a snapshot: its charts, as PNG files."""
