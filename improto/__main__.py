"""`python -m improto COMMAND …` is `improto COMMAND …`, in whichever Python runs it."""

import sys

from improto.cli import main

sys.exit(main())
