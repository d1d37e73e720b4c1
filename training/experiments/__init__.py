"""What reproduces the figures of papers."""
