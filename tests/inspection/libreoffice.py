"""LibreOffice without windows: the machine's, or Debian's unpacked into a folder; nothing is installed."""

import os
import shutil
import subprocess
from pathlib import Path

from devstack import debs

_SECONDS = 240


class LibreOffice:
    """A LibreOffice that converts files, with a profile of its own."""

    def __init__(self, folder: Path) -> None:
        """Find or fetch it. Raises FileNotFoundError where it can be had in neither way."""
        self.folder = folder
        self.environment = {**os.environ, "HOME": str(folder)}
        self.program = shutil.which("soffice") or shutil.which("libreoffice") or self._unpacked()

    def converted(self, sources: list[Path], kind: str) -> list[Path]:
        """Convert the files to `kind` (an extension) and return the new ones. Raises CalledProcessError."""
        into = self.folder / f"{sources[0].suffix[1:]} to {kind}"
        profile = f"-env:UserInstallation=file://{self.folder}/profile"
        words = [
            self.program,
            profile,
            "--headless",
            "--norestore",
            "--convert-to",
            kind,
            "--outdir",
            str(into),
            *map(str, sources),
        ]
        subprocess.run(words, env=self.environment, check=True, capture_output=True, timeout=_SECONDS)
        return sorted(into.glob(f"*.{kind}"))

    def _unpacked(self) -> str:
        root = debs.packages("libreoffice-nogui", self.folder / "debian")
        if root is None:
            raise FileNotFoundError("LibreOffice cannot be had: there is no soffice, and apt-get failed")
        home = root / "usr/lib/libreoffice"
        for settings in (home / "program").glob("*rc"):  # they name the places that installing would fill
            text = settings.read_text().replace("file:///etc/libreoffice/registry", f"file://{home}/share/.registry")
            settings.unlink()
            settings.write_text(text.replace("file:///usr/lib/libreoffice", f"file://{home}"))
        libraries = {str(library.parent) for library in root.rglob("*.so*")}
        self.environment["LD_LIBRARY_PATH"] = ":".join(sorted(libraries))
        return str(home / "program/soffice")  # which starts again after the first start made a profile
