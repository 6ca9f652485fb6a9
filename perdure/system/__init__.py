"""Server-side work that is no machine: what reaches out of the server. Nothing here writes an entity's rows."""
