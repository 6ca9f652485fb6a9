"""What reaches out of the server, against real sockets."""
