"""The library: what learns, what transforms it, and what remembers it."""
