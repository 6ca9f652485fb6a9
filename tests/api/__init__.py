"""Tests of `perdure.api`: classes, byte helpers, times and failures."""
