"""Doors to benchmarks of other people, which load a module of this folder and find what they expect there."""
