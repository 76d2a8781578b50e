"""Measurements on networks: adversarial examples, attribution, gradient checks, BLEU."""
