"""Training spatial transformer classifiers with PyTorch Lightning."""
