"""Tests of `perdure.visibility`."""
