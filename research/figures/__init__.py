"""Pictures of results: one function a picture, arrays in, a matplotlib Figure out, no I/O."""
