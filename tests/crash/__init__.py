"""The server is killed with SIGKILL under load, and what it acknowledged is compared with what it kept."""
