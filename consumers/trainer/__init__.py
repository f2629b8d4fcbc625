"""The trainer: looks for the next generation of the model, by a step or a refit."""
