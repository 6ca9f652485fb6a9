"""Tests of perdure.transport: sans-IO first, then on a virtual loop, then against real clients."""
