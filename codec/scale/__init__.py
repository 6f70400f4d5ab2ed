"""Corpora to token datasets: local processes or Ray, the same bytes from both (`codec tokenize`)."""
