"""Checks of codecs, in this process: messages, damaged streams, and attacks, without any connection."""
