"""improto: a small instant-messaging protocol as a library.

The core is here: messages, limits, states, the wire layer, the hub of a server and the view of a client.  It
does no I/O; `improto.bindings` does.  Codecs are looked up by name with `improto.codec.load`.
"""
