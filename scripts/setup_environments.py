"""Make the two Python environments, once, and say what is happening.

Run by the Makefile with whatever Python is on the machine; standard library only. Nothing is done
when the stamp of an environment equals the hash of its requirement file, so a second run costs
milliseconds.

    .venv/       env `server`: Python >= 3.11 and everything current
    .venv-bot/   env `bot`:    Python 3.10 and Rasa 3.6.21

Exit code 0 when both are ready, 1 with one clear sentence when something is missing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".ponte"
TOOLS = STATE / "tools"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
UV_REQUIREMENT = "uv>=0.9,<1"


class SetupError(Exception):
    """Something the person at the keyboard has to install; the text says what."""


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


def main() -> int:
    which = sys.argv[1:] or ["test", "bot"]
    try:
        for group in which:
            make_environment(group)
    except SetupError as error:
        print(f"[setup] error: {error}", file=sys.stderr)
        return 1
    return 0


def make_environment(group: str) -> None:
    """`group` is `server`, `test` (server plus the test tools) or `bot`."""
    lock = ROOT / "requirements" / f"{group}.txt"
    folder = ROOT / (".venv-bot" if group == "bot" else ".venv")
    stamp = folder / ".ponte-stamp"
    wanted = f"{group} {hashlib.sha256(lock.read_bytes()).hexdigest()}"
    # `test` contains `server`: an environment made for the tests also runs the product.
    accepted = {wanted}
    if group == "server":
        test_lock = ROOT / "requirements" / "test.txt"
        accepted.add(f"test {hashlib.sha256(test_lock.read_bytes()).hexdigest()}")
    if stamp.exists() and stamp.read_text().strip() in accepted and runs(python_of(folder)):
        return
    started = time.monotonic()
    uv = find_uv()
    interpreter = find_python_3_10() if group == "bot" else find_server_python()
    size = "about 1.5 GB, once" if group == "bot" else "about 500 MB, once"
    say(f"making {folder.name} with {interpreter} ({size})")
    run([*uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)])
    run(
        [*uv, "pip", "sync", "--require-hashes", "--python", str(python_of(folder)), str(lock)],
    )
    if group != "bot":
        install_ponte_command(folder)
    stamp.write_text(wanted + "\n")
    say(f"{folder.name} ready in {time.monotonic() - started:.0f} s")


def install_ponte_command(folder: Path) -> None:
    """Put the project on the path and `ponte` in bin/, without a build step or a build backend."""
    site = subprocess.run(
        [str(python_of(folder)), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    Path(site, "ponte-support.pth").write_text(f"{ROOT}\n")
    script = folder / "bin" / "ponte"
    # The two-language header, because a #! line longer than 127 bytes is cut by the kernel.
    script.write_text(
        "#!/bin/sh\n"
        '\'\'\'exec\' "$(dirname "$0")/python" "$0" "$@"\n'
        "' '''\n"
        "import sys\n"
        "from ponte.cli import main\n"
        "sys.exit(main())\n"
    )
    script.chmod(0o755)


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def runs(python: str | Path, code: str = "") -> bool:
    """Whether this interpreter really starts: a pyenv shim exists and fails when not selected."""
    try:
        done = subprocess.run(
            [str(python), "-c", code or "pass"],
            capture_output=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_uv() -> list[str]:
    """Uv: ours, the one on the path, or installed into .ponte/tools."""
    ours = TOOLS / "bin" / "uv"
    if ours.exists() and runs_command([str(ours), "--version"]):
        return [str(ours)]
    on_path = shutil.which("uv")
    if on_path and runs_command([on_path, "--version"]):
        return [on_path]
    say("installing uv into .ponte/tools")
    TOOLS.parent.mkdir(parents=True, exist_ok=True)
    python = find_server_python(with_uv=False)
    if runs(python, "import ensurepip, venv"):
        run([python, "-m", "venv", str(TOOLS)])
        run([str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet", UV_REQUIREMENT])
    elif runs(python, "import pip"):
        run([python, "-m", "pip", "install", "--quiet", "--target", str(TOOLS), UV_REQUIREMENT])
    else:
        message = (
            "this Python has neither `venv` nor `pip`, and `uv` is not on the path. Install one "
            "of: python3-venv (apt-get install python3-venv), python3-pip, or uv."
        )
        raise SetupError(message)
    if not ours.exists():
        raise SetupError(f"uv was installed but {ours} is not there")
    return [str(ours)]


def runs_command(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def find_server_python(*, with_uv: bool = True) -> str:
    """A Python >= 3.11 that runs; uv's own download is the last resort."""
    enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    candidates = [sys.executable, "python3.11", "python3.12", "python3.13", "python3"]
    for name in candidates:
        path = name if Path(name).is_absolute() else shutil.which(name)
        if path and runs(path, enough):
            return path
    if with_uv:
        return uv_download("3.11")
    raise SetupError("no Python 3.11 or newer was found. Install it (apt-get install python3.11).")


def find_python_3_10() -> str:
    """Python 3.10 for Rasa: one that runs, else the newest under pyenv, else uv's download."""
    exactly = "import sys; sys.exit(sys.version_info[:2] != (3, 10))"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder, "python3.10")
        if path.exists() and runs(path, exactly):
            return str(path)
    for path in pyenv_interpreters():
        if runs(path, exactly):
            return str(path)
    return uv_download("3.10")


def pyenv_interpreters() -> list[Path]:
    roots = [os.environ.get("PYENV_ROOT")]
    pyenv = shutil.which("pyenv")
    if pyenv:
        done = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False)
        roots.append(done.stdout.strip() or None)
        # With an empty home `pyenv root` names a folder that is not there; the program itself
        # still lies in the real one: ROOT/bin/pyenv or ROOT/libexec/pyenv.
        roots.append(str(Path(pyenv).resolve().parent.parent))
    roots.append(str(Path.home() / ".pyenv"))
    found = {
        path
        for root in roots
        if root
        for path in Path(root, "versions").glob("3.10.*/bin/python3.10")
    }
    return sorted(found, key=lambda path: int(path.parts[-3].split(".")[2]), reverse=True)


def uv_download(version: str) -> str:
    """Let uv fetch an interpreter of its own; not reachable on every network."""
    say(f"no Python {version} on this machine: asking uv to download one")
    uv = find_uv()
    install = [*uv, "python", "install", "--quiet", version]
    if subprocess.run(install, env=uv_environment(), check=False).returncode == 0:
        done = subprocess.run(
            [*uv, "python", "find", "--managed-python", version],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and runs(done.stdout.strip()):
            return done.stdout.strip()
    message = (
        f"Python {version} was not found and could not be downloaded. Install it so that "
        f"`python{version}` runs (for example `pyenv install {version}`, or "
        f"`uv python install {version}` on a network that allows it), then run the command again."
    )
    raise SetupError(message)


def uv_environment() -> dict[str, str]:
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    if not sys.stderr.isatty():
        environment["UV_NO_PROGRESS"] = "1"
    if SYSTEM_CERTIFICATES.exists():
        # uv trusts a list of its own unless told so; a company's network has certificates that only
        # the machine knows.
        environment.setdefault("UV_SYSTEM_CERTS", "1")
    return environment


def run(command: list[str]) -> None:
    done = subprocess.run(command, env=uv_environment(), check=False)
    if done.returncode != 0:
        raise SetupError(f"this command failed with code {done.returncode}: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
