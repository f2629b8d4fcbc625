"""What puts events on the log: a seeded generator, and the replay of recorded files."""
