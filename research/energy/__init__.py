"""Models by their energy: Boltzmann machines, and what is made of them."""
