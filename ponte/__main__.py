"""`python -m ponte`: the same as the command `ponte`."""

from __future__ import annotations

import sys

from ponte.cli import main

if __name__ == "__main__":
    sys.exit(main())
