"""The whole production server in one process under virtual time, from a seed, while things go wrong (DESIGN 1.12)."""
