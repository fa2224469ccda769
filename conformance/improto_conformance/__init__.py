"""The conformance suite of improto."""
