"""The environment in .venv: made once, repaired when interrupted, made anew for another Python."""

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from devstack import bootstrap
from devstack.bootstrap import Failed, prepare
from devstack.places import ROOT


class Installer:
    """Stands in for the programs that bootstrap starts, and remembers their words."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str = bootstrap._minor()) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()
        self.version = version
        monkeypatch.setattr(bootstrap, "_call", self._call)
        monkeypatch.setattr(bootstrap, "_runs", lambda argv: "pip" not in self.broken)

    def _call(self, argv: Sequence[str], extra: Mapping[str, str] | None = None) -> bool:
        words = " ".join(argv)
        self.calls.append(words)
        if " venv " in words:
            (Path(argv[-1]) / "pyvenv.cfg").write_text(f"home = x\nversion = {self.version}.1\n")
            (Path(argv[-1]) / "bin").mkdir(exist_ok=True)
            (Path(argv[-1]) / "bin" / "python").touch()
            (Path(argv[-1]) / "bin" / "pip").write_text(f"#!{argv[-1]}/bin/python\n")
        return not any(broken in words for broken in self.broken)

    def said(self, part: str) -> int:
        """How often a program was started with these words."""
        return sum(part in call for call in self.calls)


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> Installer:
    """An installer that succeeds."""
    return Installer(monkeypatch)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file."""
    path = tmp_path / "requirements-dev.lock"
    path.write_text("django==5.2.19 --hash=sha256:00\n")
    return path


def test_the_first_run_makes_it_and_the_second_does_nothing(tmp_path: Path, lock: Path, installer: Installer) -> None:
    prepare(tmp_path / ".venv", lock, chosen=False)
    assert installer.said("-m venv") == installer.said("pip sync") == 1
    assert installer.said("--require-hashes") == 1
    installer.calls.clear()
    prepare(tmp_path / ".venv", lock, chosen=False)
    assert not installer.calls


def test_another_lock_installs_into_the_same_environment(tmp_path: Path, lock: Path, installer: Installer) -> None:
    prepare(tmp_path / ".venv", lock, chosen=False)
    lock.write_text("django==5.2.20 --hash=sha256:11\n")
    installer.calls.clear()
    prepare(tmp_path / ".venv", lock, chosen=False)
    assert (installer.said("-m venv"), installer.said("pip sync")) == (0, 1)


def test_an_environment_that_was_half_made_is_made_anew(tmp_path: Path, lock: Path, installer: Installer) -> None:
    venv = tmp_path / ".venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text(f"version = {bootstrap._minor()}.1\n")
    (venv / "strongroom-underway").write_text("creating")
    prepare(venv, lock, chosen=False)
    assert installer.said("-m venv") == 1


def test_an_installation_that_was_cut_short_puts_every_package_in_its_place_again(
    tmp_path: Path, lock: Path, installer: Installer
) -> None:
    prepare(tmp_path / ".venv", lock, chosen=False)
    (tmp_path / ".venv" / "strongroom-stamp").unlink()
    (tmp_path / ".venv" / "strongroom-underway").write_text("installing")
    installer.calls.clear()
    prepare(tmp_path / ".venv", lock, chosen=False)
    assert (installer.said("-m venv"), installer.said("--reinstall")) == (0, 1)


def test_without_uv_pip_installs(tmp_path: Path, lock: Path, installer: Installer) -> None:
    installer.broken.add(bootstrap.UV)
    prepare(tmp_path / ".venv", lock, chosen=False)
    assert installer.said(f"-r {lock}") == 1


def test_without_any_installer_the_words_say_so_and_nothing_counts_as_done(
    tmp_path: Path, lock: Path, installer: Installer
) -> None:
    installer.broken |= {bootstrap.UV, "--require-hashes"}
    with pytest.raises(Failed, match="cannot be installed"):
        prepare(tmp_path / ".venv", lock, chosen=False)
    assert not (tmp_path / ".venv" / "strongroom-stamp").exists()


def test_a_python_that_cannot_make_environments_names_the_package_that_can(
    tmp_path: Path, lock: Path, installer: Installer
) -> None:
    installer.broken |= {"venv", "virtualenv"}
    with pytest.raises(Failed, match=r"apt install python3\.\d+-venv"):
        prepare(tmp_path / ".venv", lock, chosen=False)


def test_a_chosen_python_replaces_another_minor_version(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = Installer(monkeypatch, version="3.99")
    prepare(tmp_path / ".venv", lock, chosen=False)
    installer.version = bootstrap._minor()
    installer.calls.clear()
    prepare(tmp_path / ".venv", lock, chosen=False)
    assert not installer.calls
    prepare(tmp_path / ".venv", lock, chosen=True)
    assert installer.said("-m venv") == 1


def test_a_clone_that_was_moved_gets_a_new_environment(tmp_path: Path, lock: Path, installer: Installer) -> None:
    (tmp_path / "here").mkdir()
    prepare(tmp_path / "here" / ".venv", lock, chosen=False)
    (tmp_path / "here").rename(tmp_path / "there")
    installer.calls.clear()
    prepare(tmp_path / "there" / ".venv", lock, chosen=False)
    assert installer.said("-m venv") == 1


def test_of_two_commands_at_once_one_installs_and_the_other_waits(
    tmp_path: Path, lock: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(argv: Sequence[str], extra: Mapping[str, str] | None = None) -> bool:
        time.sleep(0.1)
        return installer._call(argv, extra)

    monkeypatch.setattr(bootstrap, "_call", slowly)
    both = [threading.Thread(target=prepare, args=(tmp_path / ".venv", lock), kwargs={"chosen": False}) for _ in "ab"]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert installer.said("pip sync") == 1


@pytest.mark.parametrize("name", ["demo", "stack", "test", "check", "manage"])
def test_every_command_explains_itself_without_installing_anything(name: str) -> None:
    seen = subprocess.run(
        [ROOT / "bin" / name, "--help"], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert seen.stdout.startswith(f"bin/{name}")
    assert not seen.stderr


def test_a_python_that_is_too_old_or_absent_is_refused_by_name() -> None:
    env = {"PATH": "/usr/bin:/bin", "PYTHON": "/nowhere/python"}
    seen = subprocess.run([ROOT / "bin" / "stack", "status"], capture_output=True, text=True, check=False, env=env)
    assert seen.returncode == 1
    assert "PYTHON=/nowhere/python" in seen.stderr


def test_bootstrap_needs_nothing_but_the_standard_library() -> None:
    code = f"import runpy, sys; runpy.run_path({str(ROOT / 'devstack' / 'bootstrap.py')!r}, run_name='looked at')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
