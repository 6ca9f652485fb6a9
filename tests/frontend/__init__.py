"""Tests of the RPC surface: its pure parts, and a whole server over a real connection in one process."""
