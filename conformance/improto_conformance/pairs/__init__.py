"""A client against a server, and the referee that stands between them and sees what both send."""
