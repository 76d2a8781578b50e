"""The classic architectures (inventory family A)."""
