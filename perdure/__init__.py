"""Perdure: a durable-execution server that speaks the Temporal API.

The package is laid out in layers (docs/architecture.md); this file only carries the version, so that importing
a pure machine never drags a server in.
"""

__version__ = "0.1.0"
