"""Tests of the pure machines: no loop, no store, no clock."""
