"""Tests of the matching runtime, on a loop with virtual time."""
