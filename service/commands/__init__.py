"""The verbs of the `stn` command, one file each."""
