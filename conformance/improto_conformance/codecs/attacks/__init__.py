"""Attacks on codecs: what somebody sends who wants to do harm, what the codec does with it, and what it costs.

Bad bytes may cost the reader memory and time in proportion to their number, and nothing else: DecodeError is the only
exception, nothing is executed, and after an error either the next message is read or the stream is over.  Each attack is
data (`attack`), and is run in a process of its own under resource limits (`measure`).  `improto attacks` runs all of them
and writes the table.
"""

from collections.abc import Mapping
from typing import Final

from improto_conformance.codecs.attacks import ascii_attacks, json_attacks, msgpack_attacks, pickle_attacks
from improto_conformance.codecs.attacks.attack import Attack

__all__ = ["ATTACKS", "TOPICS"]

TOPICS: Final = (ascii_attacks, json_attacks, msgpack_attacks, pickle_attacks)

ATTACKS: Final[Mapping[str, Attack]] = {attack.id: attack for topic in TOPICS for attack in topic.ATTACKS}
"""All of them by their ids, codec by codec."""
