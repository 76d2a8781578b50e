"""Tuning hyper-parameters (rows R07 to R10 of inventory family R)."""
