"""Tests of the store port: one contract for every backend, and what is particular to each."""
