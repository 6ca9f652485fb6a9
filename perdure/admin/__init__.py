"""What `perdure admin` finds out about a store without a server: everything here reads, nothing here writes."""
