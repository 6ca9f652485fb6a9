"""What operators see: logs, metrics, traces. Nothing here decides anything, and machines never import it."""
