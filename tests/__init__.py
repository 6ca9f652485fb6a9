"""Tests mirror the layers of the package; nothing here is imported by it."""
