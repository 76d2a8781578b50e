"""Data sets as NumPy arrays, and how batches are drawn from them."""
