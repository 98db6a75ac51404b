"""Flower's door: `python -m workers.door` (DOOR_BIND). Nobody sees Flower but an admin who passed both factors, now.

Flower itself listens on a unix socket and asks for a password that only the door knows. For every request the door asks
the web process about the browser's session, and passes on what is answered by 204. The rules are nginx's, in
`deploy/flower.conf`, which the containers use as well: if there is an nginx on the PATH, this process becomes it.
Otherwise `workers.porter` does the same. Who is an admin is decided in `identity`.
"""

import base64
import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

RULES = Path(__file__).resolve().parent.parent / "deploy" / "flower.conf"
NEEDED = ("PUBLIC_URL", "FLOWER_SOCKET", "FLOWER_BASIC_AUTH")


@dataclass(frozen=True)
class Door:
    """Where the door stands, whom it asks, and what is behind it."""

    bind: str  # HOST:PORT
    web: str  # HOST:PORT of the web process
    site: str  # where browsers sign in
    socket: Path  # Flower's
    login: str = field(repr=False)  # the Authorization that Flower asks for


class Unset(Exception):
    """A variable that the door cannot do without is missing or cannot be what it is."""


def read(env: Mapping[str, str]) -> Door:
    """Return the door that the environment describes. Raises Unset."""
    if missing := [name for name in NEEDED if not env.get(name)]:
        raise Unset(f"{', '.join(missing)} must be set; see .env.example")
    web = f"{_reached(env.get('WEB_HOST') or '127.0.0.1')}:{env.get('PORT') or '8000'}"
    return Door(
        bind=_address("DOOR_BIND", env.get("DOOR_BIND") or "127.0.0.1:5555"),
        web=_address("WEB_HOST and PORT", web),
        site=_site(env["PUBLIC_URL"]),
        socket=Path(env["FLOWER_SOCKET"]).absolute(),
        login="Basic " + base64.b64encode(env["FLOWER_BASIC_AUTH"].encode()).decode(),
    )


def main() -> None:
    """Stand at the door until SIGTERM or SIGINT."""
    try:
        door = read(os.environ)
    except Unset as reason:
        sys.exit(f"door: {reason}")
    os.umask(0o077)
    if argv := _nginx(door):
        tell("door_opened", bind=door.bind, by="nginx")
        os.execv(argv[0], argv)  # noqa: S606 (no shell is wanted)
    from workers import porter  # only where it is needed: nginx needs nothing of it

    tell("door_opened", bind=door.bind, by="porter")
    porter.serve(door, tell)


def tell(event: str, **facts: object) -> None:
    """Log one line as all of our processes do: JSON on standard error."""
    print(json.dumps({"event": event, "logger": "workers.door", **facts}), file=sys.stderr, flush=True)


def _nginx(door: Door) -> list[str]:
    """Return nginx's command line, with its configuration written; empty if there is none that can do it."""
    program = shutil.which("nginx")
    if program is None or not RULES.exists():
        return []
    # Beside Flower's socket: that folder is closed to others, and the configuration holds Flower's password.
    folder = door.socket.with_name("door")
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "nginx.conf"
    path.write_text(configuration(door, folder))
    argv = [program, "-e", "stderr", "-p", str(folder), "-c", str(path)]
    # One without auth_request, or too old, is as good as none.
    tried = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
    if tried.returncode:
        tell("nginx_of_no_use", said=tried.stderr[-500:])
        return []
    return [*argv, "-g", "daemon off;"]


def configuration(door: Door, folder: Path) -> str:
    """Return what nginx is told; what it writes lies in `folder`."""
    # Started by root it would become `nobody`, who cannot reach the socket.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    temporary = "\n".join(f"    {what}_temp_path {folder}/{what};" for what in _TEMPORARY)
    return f"""\
# Written by workers.door at every start.
{user}
pid {folder}/nginx.pid;
worker_processes 1;
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
{temporary}
    server_tokens off;
    log_format lines escape=json '{{"event":"passed","logger":"workers.door","method":"$request_method",'
        '"path":"$uri","status":$status,"seconds":$request_time}}';
    access_log /dev/stderr lines;
    upstream flower {{ server "unix:{door.socket}" max_fails=0; }}
    upstream nobody {{ server 127.0.0.1:9 down; }}
    map $flower_said $flower {{ default nobody; 204 flower; }}
    server {{
        listen {door.bind};
        client_max_body_size 256k;
        absolute_redirect off;
        add_header X-Content-Type-Options nosniff always;
        add_header X-Frame-Options DENY always;
        add_header Referrer-Policy no-referrer always;
        set $web {door.web};
        set $site "{door.site}";
        set $proto {urlsplit(door.site).scheme};
        set $flower_login "{door.login}";
        include {RULES};
        location = / {{ return 302 /flower/; }}
        location / {{ return 404; }}
    }}
}}
"""


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _address(name: str, text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or any(sign in host for sign in "/;{}\"' "):
        raise Unset(f"{name} must be HOST:PORT")
    return text


def _reached(host: str) -> str:
    """Return where a server that listens at `host` is found from this machine: one that listens everywhere, here."""
    with contextlib.suppress(ValueError):
        if ip_address(host).is_unspecified:
            return "127.0.0.1"
    return host


def _site(url: str) -> str:
    """Return the scheme and host of an address. It becomes part of a Location header and of a configuration."""
    parts = urlsplit(url.strip())
    site = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in {"http", "https"} or not parts.netloc or any(sign in site for sign in "$;{}\"'\\ "):
        raise Unset("PUBLIC_URL must be an http address")
    return site


if __name__ == "__main__":
    main()
