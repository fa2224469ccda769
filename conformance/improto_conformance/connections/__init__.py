"""Connections: how bytes come to a server and back, on each transport."""
