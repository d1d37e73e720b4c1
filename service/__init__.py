"""Serving spatial transformer classifiers over HTTP, and the `stn` command."""
