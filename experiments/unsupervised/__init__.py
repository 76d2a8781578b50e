"""Learning without labels: energies, features, generation (inventory family U)."""
