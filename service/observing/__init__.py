"""What is seen of the service from outside: metrics, log and traces."""
