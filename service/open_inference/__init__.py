"""The Open Inference Protocol V2, without HTTP."""
