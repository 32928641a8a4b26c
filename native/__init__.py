"""The package with its hot path as C, made of the same files: ``python -m native``."""
