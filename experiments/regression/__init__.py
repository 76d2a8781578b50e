"""Linear models and the small nets beside them (inventory family D)."""
