"""Tests of `perdure.config`."""
