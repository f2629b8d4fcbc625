"""Synthetic events of known personas, and invalid records."""
