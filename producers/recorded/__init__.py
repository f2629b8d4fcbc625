"""Recorded files as events: reading, mapping, conversion, replay."""
