"""A user's own pictures: received, checked, kept."""
