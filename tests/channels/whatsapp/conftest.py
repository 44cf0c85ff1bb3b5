from __future__ import annotations

import sys
from pathlib import Path

# Test folders are no packages; `samples` is imported by its plain name.
sys.path.insert(0, str(Path(__file__).parent))
