"""The `stn` command: `cli` says what may be typed, and each verb has a file that does it."""
