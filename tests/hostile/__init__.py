"""Bad input of every kind: each gets a clear status, and the server serves on."""
