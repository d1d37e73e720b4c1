"""From a model file to a network that is ready to be served."""
