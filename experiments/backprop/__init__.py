"""Back-propagation (inventory family B)."""
