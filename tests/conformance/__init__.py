"""Runs Temporal's own sdk-python suite against this server."""
