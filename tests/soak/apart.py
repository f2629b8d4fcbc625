"""Ways to break something on purpose."""
BREAKS = {}
