"""Testing with Perdure: a whole server in one process, under virtual time and from a seed."""
