"""The transports: the only modules of improto, beside its commands, that do I/O."""
