"""Programs from Debian's packages, unpacked into a folder of the test's own by anybody; nothing is installed."""

import os
import shutil
import subprocess
from pathlib import Path

from devstack import debs

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
RELEASE_WITH_COMPOSE = "trixie"


def compose(folder: Path) -> Path:
    """Return Docker Compose, from the first Debian that has it. It is one file that needs the C library alone."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    shutil.copyfile("/var/lib/dpkg/status", folder / "status")
    sources = folder / "sources.list"
    sources.write_text(f"deb [signed-by={KEYS}] {_archive()} {RELEASE_WITH_COMPOSE} main\n")
    options = {
        "Dir::State": folder / "state",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    for words in (["update"], ["download", "docker-compose"]):
        subprocess.run([*apt, *words], cwd=folder, env={**os.environ, "LC_ALL": "C"}, check=True, timeout=300)
    (package,) = folder.glob("docker-compose_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "root"], check=True)
    return folder / "root/usr/libexec/docker/cli-plugins/docker-compose"


def nginx(folder: Path) -> tuple[str, dict[str, str]]:
    """Return nginx and the environment that it runs in: the machine's, or one unpacked with its libraries."""
    root = debs.packages("nginx-light", folder)
    if root is None:
        raise FileNotFoundError("nginx cannot be had: apt-get failed")
    unpacked = root / "usr/sbin/nginx"
    program = str(unpacked) if unpacked.exists() else shutil.which("nginx", path=f"{os.defpath}:/usr/sbin:/sbin")
    if program is None:
        raise FileNotFoundError("nginx cannot be had: Debian's package has none")
    libraries = {str(library.parent) for library in root.rglob("*.so.*")}
    return program, {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}


def _archive() -> str:
    """Return the address of the machine's own Debian archive."""
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return next(line for line in asked.stdout.split() if line.rstrip("/").endswith("/debian"))
