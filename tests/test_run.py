"""run.py: setting up, repairing, explaining; with a pip that fails as pips do."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """run.py as a module whose project is an empty folder."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"),
        "REQUIREMENTS": tmp_path / "requirements.txt",
        "INSTALLED": venv / "otoscope-installed.txt",
        "LOG": venv / "install.log",
        "DISK_BYTES": 0,
    }.items():
        monkeypatch.setattr(module, name, value)
    module.REQUIREMENTS.write_text("# nothing\n", "utf-8")
    return module


def fake_python(run: ModuleType, tmp_path: Path, script: str) -> None:
    """A program in the place of the environment's Python."""
    run.PYTHON.parent.mkdir(parents=True, exist_ok=True)
    run.PYTHON.write_text(f"#!{sys.executable}\nimport sys\n{script}\n", "utf-8")
    run.PYTHON.chmod(0o755)


def test_a_finished_environment_is_not_touched(run, tmp_path, monkeypatch):
    fake_python(run, tmp_path, "sys.exit(3)")
    run.INSTALLED.write_text(run.fingerprint(run.REQUIREMENTS.read_bytes(), sys.version_info[:2]), "utf-8")
    monkeypatch.setattr(run, "install", lambda: pytest.fail("installed again"))
    run.ensure_environment()


def test_changed_requirements_and_another_python_are_installed_again(run, tmp_path):
    fake_python(run, tmp_path, "sys.exit(0)")
    run.INSTALLED.write_text(run.fingerprint(run.REQUIREMENTS.read_bytes(), sys.version_info[:2]), "utf-8")
    assert run.is_installed()
    run.REQUIREMENTS.write_text("six==1.16.0\n", "utf-8")
    assert not run.is_installed()
    run.INSTALLED.write_text(run.fingerprint(run.REQUIREMENTS.read_bytes(), (3, 9)), "utf-8")
    assert not run.is_installed()


@pytest.mark.skipif(os.name == "nt", reason="the fake pip is a shell script")
def test_an_interrupted_installation_is_repaired_by_the_next_run(run, tmp_path, capsys):
    fake_python(run, tmp_path, "print('Collecting torch==2'); sys.exit('pip' in sys.argv)")
    with pytest.raises(run.SetupError):
        run.install()
    assert not run.is_installed()
    assert "torch==2" in capsys.readouterr().out
    fake_python(run, tmp_path, "sys.exit(0)")
    run.ensure_environment()
    assert run.is_installed()


def test_a_half_made_environment_is_made_again(run, monkeypatch):
    run.VENV.mkdir()
    (run.VENV / "leftover").write_text("", "utf-8")
    monkeypatch.setattr(run, "install", lambda: None)
    run.ensure_environment()
    assert run.has_pip()
    assert not (run.VENV / "leftover").exists()


def test_python_without_venv_is_told_what_to_install(run, monkeypatch):
    def fail(*_: object) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(run.venv.EnvBuilder, "create", fail)
    with pytest.raises(run.SetupError, match="python3-venv"):
        run.make_venv()


def test_a_wrong_python_a_full_disk_and_an_intel_mac_are_refused_in_words(run, monkeypatch):
    monkeypatch.setattr(run, "DISK_BYTES", 10**18)
    with pytest.raises(run.SetupError, match="GB are free"):
        run.check_machine()
    monkeypatch.setattr(run.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(run.platform, "machine", lambda: "x86_64")
    with pytest.raises(run.SetupError, match="Intel"):
        run.check_machine()
    monkeypatch.setattr(run.sys, "version_info", (3, 10, 2))
    with pytest.raises(run.SetupError, match=r"3\.11, 3\.12 or 3\.13"):
        run.check_machine()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "disk is full",
        ),
        ("NewConnectionError: Failed to establish a new connection: [Errno -2] Name or service", "internet"),
        ("ReadTimeoutError: Read timed out.", "internet"),
        ("ERROR: [Errno 13] Permission denied: '/opt'", "may not be written"),
        ("ERROR: metadata-generation-failed", "install.log"),
    ],
)
def test_a_failed_pip_is_explained(run, log, words):
    assert words in run.explain(log)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Collecting torch==2.13.0 (from -r requirements.txt)", "looking up torch==2.13.0"),
        ("  Downloading https://host/a/torch-2.13.0.whl (200 MB)", "fetching torch-2.13.0.whl"),
        ("  Using cached numpy-2.4.6.whl (16 MB)", "fetching numpy-2.4.6.whl"),
        ("Installing collected packages: torch, numpy", "unpacking, the longest step: a minute or two"),
        ("Requirement already satisfied: six", None),
        ("", None),
    ],
)
def test_progress_names_the_package(run, line, words):
    assert run.progress_of(line) == words


def test_a_taken_port_is_passed_over(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run.free_port(port) > port


def test_unknown_words_get_the_usage(run, capsys):
    assert run.main(["paint"]) == 2
    assert "python run.py" in capsys.readouterr().err
    assert run.main(["--help"]) == 0
