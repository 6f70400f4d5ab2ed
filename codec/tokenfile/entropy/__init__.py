"""Entropy coding of layers: a causal integer network gives probabilities, a range coder makes bytes."""
