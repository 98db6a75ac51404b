"""What the machine gives to hold a hostile parser in: asked for once, by the zygote, before any file.

Everything here is for Linux; elsewhere, and where a container forbids it, what cannot be had is left
out and said (`Containment`), because the limits of `zygote` hold in any case.
"""

import ctypes
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NEWUSER, _NEWNET, _NEWIPC, _NEWUTS, _NEWNS = 0x10000000, 0x40000000, 0x08000000, 0x04000000, 0x00020000
_PDEATHSIG, _NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION: Final = 0x20080522
_NOBODY: Final = 65534


@dataclass(frozen=True)
class Containment:
    """Which walls stand: a user and a network namespace of its own, no files in sight, no way to more rights."""

    user: bool
    network: bool
    files: bool
    privileges: bool

    @property
    def whole(self) -> bool:
        """Whether all of them do."""
        return self.user and self.network and self.files and self.privileges

    def missing(self) -> str:
        """Name what is missing, for people; empty if nothing is."""
        walls = {
            "a user namespace": self.user,
            "a network namespace": self.network,
            "an empty root folder": self.files,
            "no_new_privs": self.privileges,
        }
        return ", ".join(name for name, stands in walls.items() if not stands)


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends."""
    _tried(lambda: _prctl(_PDEATHSIG, signal.SIGKILL))


def enter() -> Containment:
    """Wall this process in, and with it everything it will fork."""
    if os.geteuid() == 0:
        _tried(_become_nobody)
    user = _tried(lambda: _unshare(_NEWUSER))
    network = _tried(lambda: _unshare(_NEWNET | _NEWIPC | _NEWUTS))
    files = _tried(_see_no_files)
    privileges = _tried(lambda: _prctl(_NO_NEW_PRIVS, 1)) and _tried(_drop_capabilities)
    return Containment(user=user, network=network, files=files, privileges=privileges)


def _tried(step: Callable[[], object]) -> bool:
    try:
        step()
    except (OSError, AttributeError):  # forbidden here, or not Linux
        return False
    return True


def _become_nobody() -> None:
    """The bytes come through descriptors; no right to any file is needed."""
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _see_no_files() -> None:
    """The root becomes a folder that is empty and already deleted: nothing can be made in it either."""
    empty = tempfile.mkdtemp(prefix="strongroom-empty-")
    place = os.open(empty, os.O_RDONLY | os.O_DIRECTORY)
    try:
        Path(empty).rmdir()
        os.fchdir(place)
        os.chroot(".")
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    _checked(_libc().unshare(flags))


def _prctl(option: int, value: int) -> None:
    _checked(_libc().prctl(option, value, 0, 0, 0))


def _drop_capabilities() -> None:
    """A user namespace makes its first process root in it; nothing of that is needed."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _checked(_libc().capset(header, (ctypes.c_uint32 * 6)()))


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
