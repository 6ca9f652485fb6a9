"""The Temporal Web UI, driven in Chromium against a running Perdure (`make ui-test`)."""
