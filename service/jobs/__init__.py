"""Training jobs over HTTP: what requests say of them, what is answered, and what streams."""
