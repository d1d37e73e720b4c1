"""Who may ask, how often, and how much of what is sent is taken."""
