"""Dead letters: exported to a file, corrected by people, and replayed."""
