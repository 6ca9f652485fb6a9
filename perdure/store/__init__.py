"""Stores: the protocols in `api.py`, and what implements them. A store knows bytes and rows, never a machine."""
