"""From the pictures in a request to the bytes of its answer, without HTTP."""
