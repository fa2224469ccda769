"""Tests of the codec by improto's own checks: `pytest` runs each as a test."""

from improto_cbor import CborCodec

from improto_conformance import CodecChecks


class TestCbor(CodecChecks):
    """All checks of codecs."""

    codec = CborCodec()

    @staticmethod
    def nested(levels: int) -> bytes:
        """Nest arrays in the array."""
        return b"\x82\x65LATER" + b"\x81" * (levels - 2) + b"\x80"
