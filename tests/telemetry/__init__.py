"""Tests of `perdure.telemetry`."""
