"""Which items a user may like next: what the segment likes, and what goes with the items that the user had.

All of it is a function of who had what and who is in which segment. The formulas, and how well they do:
docs/recommendations.md.
"""
