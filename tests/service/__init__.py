"""A whole server, started as users start it, and the unmodified SDK and CLI against it."""
