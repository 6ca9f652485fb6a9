"""The archive: its query language, its files."""
