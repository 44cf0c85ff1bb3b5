"""Make a migration out of the difference between `ticketing.db.tables` and the migrations so far.

    python -m ponte.make_revision "tickets get a colour"
    python -m ponte.make_revision --first     # make the first revision again (before a release)

A throwaway PostgreSQL is started for it. Read the file before you keep it: alembic does not see
changed CHECKs nor renames; `tests/ponte/test_migrations.py` finds what it missed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from ponte.embedded.postgres import EmbeddedPostgres
from ponte.migrate import MIGRATIONS, config_for

_FIRST = ("0001", "first tables")


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 when the call is wrong."""
    if len(arguments) != 1:
        sys.stderr.write(__doc__ or "")
        return 2
    if arguments[0] == "--first":
        for old in (MIGRATIONS / "versions").glob("*.py"):
            old.unlink()
        number, message = _FIRST
    else:
        number, message = _next_number(), arguments[0].rstrip(".")
    folder = Path(tempfile.mkdtemp(prefix="ponte-revision-"))
    server = EmbeddedPostgres(folder / "postgres", folder / "run", durable=False)
    try:
        server.start()
        config = config_for(server.url())
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        command.upgrade(config, "head")
        command.revision(config, message, autogenerate=True, rev_id=number)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for verb in (["format"], ["check", "--fix"]):
        # The formatter of the environment this runs in; its absence only costs the looks.
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "ruff", *verb, "--quiet", str(MIGRATIONS)], check=False
        )
    return 0


def _next_number() -> str:
    numbers = [int(path.name[:4]) for path in (MIGRATIONS / "versions").glob("[0-9]*.py")]
    return f"{max(numbers, default=0) + 1:04d}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
