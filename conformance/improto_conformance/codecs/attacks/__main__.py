"""Runs attacks, and prints the result of each as a line of JSON.

    python -m improto_conformance.codecs.attacks json/nan msgpack/nil…

`improto attacks` runs this in one interpreter after the other.
"""

import json
import os
import sys
from dataclasses import asdict

from improto_conformance.codecs.attacks import ATTACKS
from improto_conformance.codecs.attacks.measure import measure

if __name__ == "__main__":  # which it is not in the processes that it starts
    for measured in measure([ATTACKS[id] for id in sys.argv[1:]], jobs=os.cpu_count() or 1):
        print(json.dumps(asdict(measured)), flush=True)
