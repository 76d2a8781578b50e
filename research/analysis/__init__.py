"""What can be learned about a network or a learner by probing it."""
