"""What operators see: logs. Nothing here decides anything, and machines never import it."""
