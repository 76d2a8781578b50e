"""Regularisation (rows R01 to R06 and R11 of inventory family R)."""
