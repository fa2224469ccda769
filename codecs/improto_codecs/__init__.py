"""The four codecs of improto.  Nothing is imported here: programs ask `improto.codec.load` for one by name."""
