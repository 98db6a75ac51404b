"""The process that looks at hostile files, one child for each: `python -I zygote.py ROOT SOCKET`.

It is started by a worker with an empty environment, loads the parsers, walls itself in, and only then
takes files. It never looks at one itself: it forks, and the child, which shares what was loaded, looks
at one file, says what it found and ends. So a file meets a process that has seen no other, and starting
one costs a fork and not an import.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import IO, Any, Final, NoReturn

_INPUT, _RESULT = 3, 4  # the child's only descriptors beside 0, 1, 2, which lead nowhere
_MEMORY: Final = 384 * 1024 * 1024  # beyond what the zygote itself has mapped
_DESCRIPTORS: Final = 16
NOT_READY: Final = 71  # the exit code of a child that never came to look at its file
_POLL_SECONDS: Final = 0.005


def main(root: str, descriptor: str) -> None:
    """Serve the worker at the other end of the socket until it is gone."""
    sys.path.insert(0, root)
    from pipeline.sandbox import containment

    containment.die_with_parent()
    line = socket.socket(fileno=int(descriptor))
    _load()
    memory = _size() + _MEMORY  # read before the files go out of sight
    nowhere = os.open(os.devnull, os.O_RDWR)
    walls = containment.enter()
    _lead(nowhere)
    line.send(json.dumps({"ready": walls.__dict__}).encode())
    while True:
        request, descriptors, *_ = socket.recv_fds(line, 64 * 1024, 2)
        if not request or len(descriptors) != 2:
            return
        asked = json.loads(request) | {"memory": memory}
        line.send(json.dumps(_attended(line, asked, *descriptors)).encode())


def _load() -> None:
    """Import every parser, and have each load what it loads at its first use."""
    import gc

    from pipeline.inspection import look, parts  # noqa: F401  (afterwards no file of a module is in sight)

    look.preload()
    gc.freeze()  # the collector of a child leaves shared pages alone


def _lead(nowhere: int) -> None:
    """What parsers print may hold what they read: it goes nowhere, not into a log."""
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _attended(line: socket.socket, request: dict[str, Any], file: int, result: int) -> dict[str, Any]:
    """Fork a child for one file, wait for its end or its time's, and say how it ended."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(line, request, file, result)
    os.close(file)
    os.close(result)
    late = not _ended(child, line, float(request["wall"]))
    if late:
        os.kill(child, signal.SIGKILL)
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {
        "pid": child,
        "exit": max(code, 0),
        "signal": max(-code, 0),
        "late": late,
        "cpu": used.ru_utime + used.ru_stime,
        "rss_kib": used.ru_maxrss,
        "seconds": time.monotonic() - started,
    }


def _ended(child: int, line: socket.socket, wall: float) -> bool:
    """Wait for the child's end; False if its time is over. A worker that is gone needs no answer."""
    until = time.monotonic() + wall
    handle = os.pidfd_open(child) if hasattr(os, "pidfd_open") else -1
    watched = [line] + ([handle] if handle >= 0 else [])
    try:
        while (left := until - time.monotonic()) > 0:
            ready = select.select(watched, [], [], left if handle >= 0 else _POLL_SECONDS)[0]
            if line in ready:  # it never speaks while it waits: this is its end
                os.kill(child, signal.SIGKILL)
                os._exit(0)
            if handle in ready or (handle < 0 and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
                return True
        return False
    finally:
        if handle >= 0:
            os.close(handle)


def _child(line: socket.socket, request: dict[str, Any], file: int, result: int) -> NoReturn:
    """Look at one file. Whatever happens, this process ends here."""
    code = NOT_READY
    try:
        from pipeline.sandbox import containment

        containment.die_with_parent()
        _keep_two(line, file, result)
        _limit(int(request["cpu"]), int(request["memory"]))
        code = 70
        _look(request)
        code = 0
    finally:
        os._exit(code)


def _keep_two(line: socket.socket, file: int, result: int) -> None:
    line.detach()
    spare = [os.dup(descriptor) for descriptor in (file, result)]  # clear of the places they go to
    high = [os.dup2(descriptor, 100 + place) for place, descriptor in enumerate(spare)]
    for place, descriptor in zip((_INPUT, _RESULT), high, strict=True):
        os.dup2(descriptor, place)
    os.closerange(_RESULT + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit(cpu: int, memory: int) -> None:
    """No more time and memory than this, no new file, no second process."""
    limits = {
        resource.RLIMIT_CPU: (cpu, cpu + 1),  # SIGXCPU, then SIGKILL
        resource.RLIMIT_AS: (memory, memory),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (_DESCRIPTORS, _DESCRIPTORS),
        resource.RLIMIT_NPROC: (0, 0),
    }
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]  # the worker may be held to less already; nobody may raise that
        resource.setrlimit(which, most if hard == resource.RLIM_INFINITY else (min(most[0], hard), min(most[1], hard)))


def _size() -> int:
    """How many bytes this process has mapped; elsewhere than on Linux a guess."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 512 * 1024 * 1024


def _look(request: dict[str, Any]) -> None:
    """Look at the file and say what was found."""
    from pipeline.inspection.look import look
    from pipeline.sandbox import wire

    with os.fdopen(_INPUT, "rb", closefd=False) as file:
        if request["ask"] == "parts":
            _send_parts(file)
        else:
            report = look(file, filename=request["filename"], content_type=request["content_type"])
            wire.send(_RESULT, wire.JSON, json.dumps(report.values()).encode())
    wire.send(_RESULT, wire.END)


def _send_parts(file: IO[bytes]) -> None:
    from pipeline.inspection.parts import parts
    from pipeline.sandbox import wire

    for part in parts(file):
        wire.send(_RESULT, wire.JSON, json.dumps({"kind": part.kind}).encode())
        for chunk in part.chunks:
            for start in range(0, len(chunk), wire.LARGEST_FRAME):
                wire.send(_RESULT, wire.BYTES, chunk[start : start + wire.LARGEST_FRAME])


if __name__ == "__main__":
    main(*sys.argv[1:])
