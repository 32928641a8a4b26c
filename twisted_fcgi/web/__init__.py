"""HTTP: the fronts, and the gateway between them and the applications."""
