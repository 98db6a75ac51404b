"""Make the environment in `.venv` if it is not there, then become the command that was asked for.

Run by `bin/*` with whatever Python they found, before any package is installed: standard library only. It replaces
itself by the command (exec), so there is one process from the first moment, and a Ctrl-C reaches whatever is at work.

What it installs is `requirements-dev.lock`, by hash. A stamp in `.venv` says for which lock, Python and place that
was done; it is written last, so an installation that was interrupted is taken up again. A second command waits for
the first (a file lock, which the kernel gives back if its owner dies).
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

UV = "uv==0.13.9"
ROOT = Path(__file__).resolve().parent.parent
_STAMP, _UNDERWAY = "strongroom-stamp", "strongroom-underway"


class Failed(Exception):
    """The environment cannot be made; the message says why and what to do."""


def main(argv: Sequence[str]) -> None:
    """`bootstrap.py WORD...`: become WORD..., its first word taken from `.venv/bin`. Does not return."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    venv = ROOT / ".venv"
    try:
        prepare(venv, ROOT / "requirements-dev.lock", chosen=bool(os.environ.get("PYTHON")))
    except Failed as reason:
        sys.exit(f"strongroom: {reason}")
    program = str(venv / "bin" / argv[0])
    os.execv(program, [program, *argv[1:]])  # noqa: S606 (no shell is wanted)


def prepare(venv: Path, lock: Path, *, chosen: bool) -> None:
    """Bring `venv` to what `lock` says; at once if it is so already.

    `chosen` says that a person picked this Python: an environment of another minor version is then made anew.
    Raises Failed.
    """
    if _done(venv, lock, chosen=chosen):
        return
    with _alone(venv):
        if not _done(venv, lock, chosen=chosen):  # else the command that we waited for has done it
            _make_or_repair(venv, lock, chosen=chosen)


def _make_or_repair(venv: Path, lock: Path, *, chosen: bool) -> None:
    (venv / _STAMP).unlink(missing_ok=True)
    sound = _sound(venv, chosen=chosen)
    try:
        if not sound:
            _create(venv)
        _install(venv, lock)
    except Failed:
        if not sound:
            raise
        _say("the environment in .venv cannot be repaired; making it anew")
        _create(venv)
        _install(venv, lock)
    (venv / _STAMP).write_text(_stamp(venv, lock))


def _done(venv: Path, lock: Path, *, chosen: bool) -> bool:
    try:
        stamp = (venv / _STAMP).read_text()
    except OSError:
        return False
    fits = not chosen or _version(venv) == _minor()
    return fits and stamp == _stamp(venv, lock) and (venv / "bin" / "python").exists()


def _stamp(venv: Path, lock: Path) -> str:
    """Return what an environment depends on: lock, Python and place (programs name their interpreter by path)."""
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()}\n{_version(venv)}\n{venv}\n"


def _version(venv: Path) -> str:
    """Return an environment's Python as its own note says: "3.12"."""
    with contextlib.suppress(OSError):
        for line in (venv / "pyvenv.cfg").read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() in {"version", "version_info"}:
                return ".".join(value.strip().split(".")[:2])
    return ""


def _minor() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _sound(venv: Path, *, chosen: bool) -> bool:
    """Tell whether there is an environment worth keeping: whole, of the right version, its Python and pip run."""
    config = venv / "pyvenv.cfg"
    if (
        not config.exists()
        or (chosen and _version(venv) != _minor())
        or tuple(map(int, _version(venv).split("."))) < (3, 11)
    ):
        return False
    half_made = _underway(venv) == "creating"
    return not half_made and not _moved(venv) and _runs([venv / "bin" / "python", "-m", "pip", "--version"])


def _moved(venv: Path) -> bool:
    """Tell whether the programs in it name an interpreter that stands elsewhere: the clone was moved or copied."""
    with contextlib.suppress(OSError):
        return str(venv).encode() not in (venv / "bin" / "pip").read_bytes()
    return True


def _create(venv: Path) -> None:
    _say(f"making .venv with Python {_minor()}")
    shutil.rmtree(venv, ignore_errors=True)
    venv.mkdir(exist_ok=True)
    _mark(venv, "creating")
    makers = [[sys.executable, "-m", "venv", str(venv)]]
    if uv := shutil.which("uv"):
        makers.append([uv, "venv", "--seed", "--allow-existing", "--python", sys.executable, str(venv)])
    makers.append([sys.executable, "-m", "virtualenv", str(venv)])
    if virtualenv := shutil.which("virtualenv"):
        makers.append([virtualenv, "--python", sys.executable, str(venv)])
    for maker in makers:
        if _call(maker) and _runs([venv / "bin" / "python", "-m", "pip", "--version"]):
            return
    raise Failed(
        f"Python {_minor()} cannot make a virtual environment. "
        f"On Debian and Ubuntu: apt install python{_minor()}-venv; elsewhere: install `uv` or `virtualenv`"
    )


def _install(venv: Path, lock: Path) -> None:
    """Install what the lock names; all of it again if an earlier installation was cut short."""
    cut_short = _underway(venv) == "installing"
    _mark(venv, "installing")
    _say("installing what requirements-dev.lock names; the first time this takes about half a minute")
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    sync = [str(venv / "bin" / "uv"), "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(lock)]
    again = {True: (["--reinstall"], ["--force-reinstall"]), False: ([], [])}[cut_short]
    by_uv = _call([*pip, UV]) and _call([*sync, *again[0]], _uv_environment(venv))
    if not by_uv and not _call([*pip, "--require-hashes", "-r", str(lock), *again[1]]):  # slower, but it is there
        raise Failed("the packages of requirements-dev.lock cannot be installed (see above)")
    (venv / _UNDERWAY).unlink()


def _uv_environment(venv: Path) -> dict[str, str]:
    """Compile at once, or each of a dozen processes would compile everything for itself. Cope without a HOME."""
    environment = {"UV_COMPILE_BYTECODE": "1", "VIRTUAL_ENV": str(venv)}
    if ssl.get_default_verify_paths().cafile:
        environment["UV_SYSTEM_CERTS"] = "1"  # as pip does: a company's own proxy is known to the system alone
    home = os.path.expanduser("~")  # noqa: PTH111 (Path.home raises where there is none)
    if "UV_CACHE_DIR" not in os.environ and not (Path(home).is_dir() and os.access(home, os.W_OK)):
        environment["UV_NO_CACHE"] = "1"
    return environment


def _mark(venv: Path, state: str) -> None:
    (venv / _UNDERWAY).write_text(state)


def _underway(venv: Path) -> str:
    """Return what was being done when an earlier run was cut off, if one was."""
    with contextlib.suppress(OSError):
        return (venv / _UNDERWAY).read_text()
    return ""


@contextmanager
def _alone(venv: Path) -> Iterator[None]:
    """Hold the clone's lock: the folder itself, because the environment in it may be removed meanwhile.

    What we start holds it too, so that nobody installs beside a program that outlived us (kill -9).
    """
    folder = os.open(venv.parent, os.O_RDONLY)
    os.set_inheritable(folder, True)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another command is installing; waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _call(argv: Sequence[str], extra: Mapping[str, str] | None = None) -> bool:
    """Run a program in a group of its own, its output on our stderr; end the whole group if we are told to end."""
    environment = {**os.environ, **(extra or {})}
    try:
        child = subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True, close_fds=False
        )
    except OSError:
        return False
    try:
        return child.wait() == 0
    except BaseException:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, signal.SIGINT)  # pip then takes its temporary files away
            child.wait(2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise


def _runs(argv: Sequence[Path | str]) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
    return False


def _say(words: str) -> None:
    print(f"strongroom: {words}", file=sys.stderr, flush=True)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main(sys.argv[1:])
