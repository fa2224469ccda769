"""The bindings to transports.  Beside the commands, these are the only modules of improto that do I/O."""
