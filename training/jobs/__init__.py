"""Training jobs: a table, the processes that run them, and what is promised when something dies."""
