"""gunicorn's settings: `gunicorn -c python:config.gunicorn config.wsgi`.

Threads, because requests wait for PostgreSQL and S3; loaded once before the workers are forked, which
saves their start-up and shares memory (nothing connects at import).
"""

import os
import threading
import time
from typing import Any

from gunicorn.glogging import Logger

from config.logs import logging_config


class JsonLines(Logger):
    """gunicorn's own lines go the way of all others, instead of to a handler of their own."""

    def setup(self, cfg: Any) -> None:
        """Leave the handling to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


bind = f"{os.environ.get('WEB_HOST', '127.0.0.1')}:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
preload_app = True
timeout = 30
graceful_timeout = 20
# Longer than a client or proxy keeps an idle connection: who closes first must not be us, or a request that
# is just being sent meets a reset.
keepalive = 75
max_requests, max_requests_jitter = 20_000, 2_000
# It would want to write into HOME, which a read-only root refuses.
control_socket_disable = True
logger_class = JsonLines
logconfig_dict = logging_config(os.environ.get("LOG_LEVEL") or "INFO")


def when_ready(server: Any) -> None:
    """Lay out the one note, as a byte in a pipe, that says that this start is still to be recorded."""
    taken, left = os.pipe()
    os.set_blocking(taken, False)
    os.write(left, b"!")
    server.app.note = (taken, left)


def post_worker_init(worker: Any) -> None:
    """Let whichever worker gets hold of the note record the start; a thread, so that nothing waits for the database.

    Not the master: what it holds open or has running when it forks would be in every worker.
    """
    threading.Thread(target=_record_the_start, args=worker.app.note, daemon=True).start()


def _record_the_start(taken: int, left: int) -> None:
    """Try until it is done, here or elsewhere. Only a worker that is killed within a try takes the note with it."""
    from workers import starting  # it needs Django's models

    while _got(taken):
        if starting.recorded("web"):
            return
        os.write(left, b"!")
        time.sleep(starting.AGAIN_SECONDS)


def _got(taken: int) -> bool:
    try:
        return bool(os.read(taken, 1))
    except BlockingIOError:  # another worker has it, or it is done
        return False
