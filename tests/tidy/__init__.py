"""Style is a test."""
