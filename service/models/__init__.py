"""The models folder: what lies there, what of it is in memory, and how it changes."""
