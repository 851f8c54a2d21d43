"""One command for everything: python run.py [app] | test | analyse | models | download | remove | add | train | bench.

Standard library only, so that it runs before anything is installed. It makes the environment `.venv`
beside itself, installs requirements.txt when that file or the Python version changed, and hands over.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
REQUIREMENTS = ROOT / "requirements.txt"
INSTALLED = VENV / "otoscope-installed.txt"
LOG = VENV / "install.log"
FIRST_PORT = 8501
DISK_BYTES = 4_000_000_000

USAGE = """How to use Otoscope:

  python run.py                       open the app in the browser
      --port N                        ... on this port instead of the first free one from 8501
      --no-browser                    ... without opening a browser
  python run.py analyse FILE_OR_FOLDER... --model ID --out DIR
                                      let a model listen to files, write tables
      --weights FILE_OR_FOLDER        ... with weights that are not downloaded here
      --labels "dog, rain"            ... for your own words (CLAP models)
  python run.py models [--json]       list the models, and whether they are ready
  python run.py download ID           fetch a model's weights, or the rest of them
  python run.py remove ID             delete a download
  python run.py add OWNER/NAME        bring in any audio model of Hugging Face (or a folder)
  python run.py test [PYTEST OPTIONS] lint, types, import contracts and tests
  python run.py train TASK            make the shipped models again (TASK: digits, sounds, emotion, speechmusic)
  python run.py bench                 time and memory of the main jobs
"""


class SetupError(Exception):
    """Something that keeps Otoscope from being installed; its text is for the user."""


def fingerprint(requirements: bytes, version: tuple[int, int]) -> str:
    """What an environment was made from: the hash of requirements.txt and the Python version."""
    return f"{hashlib.sha256(requirements).hexdigest()} python {version[0]}.{version[1]}"


def is_installed() -> bool:
    """Whether `.venv` was finished from today's requirements.txt by this version of Python."""
    wanted = fingerprint(REQUIREMENTS.read_bytes(), sys.version_info[:2])
    return PYTHON.is_file() and INSTALLED.is_file() and INSTALLED.read_text("utf-8") == wanted


def check_machine() -> None:
    """Raise SetupError, in plain words, where an installation is bound to fail."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise SetupError(
            f"Otoscope needs Python 3.11, 3.12 or 3.13; this is {platform.python_version()}. "
            "Install one of those from python.org and start run.py with it."
        )
    if platform.system() == "Darwin" and platform.machine() == "x86_64":
        raise SetupError("Otoscope needs PyTorch, which is no longer made for Macs with an Intel processor.")
    free = shutil.disk_usage(ROOT).free
    if free < DISK_BYTES:
        raise SetupError(
            f"Only {free / 1e9:.1f} GB are free on the disk that holds {ROOT.name}; "
            f"the first start needs about {DISK_BYTES / 1e9:.0f} GB. Make room and start again."
        )


def make_venv() -> None:
    """Make `.venv` from scratch; a damaged one is replaced."""
    print("Otoscope: making its own Python environment in .venv ...", flush=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=True).create(VENV)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(
            "Python could not make an environment. On Debian or Ubuntu install the package python3-venv; "
            f"elsewhere check that the folder {ROOT.name} may be written to. ({error})"
        ) from error


def has_pip() -> bool:
    """Whether `.venv` starts and has pip: an interrupted first run may leave it half made."""
    if not PYTHON.is_file():
        return False
    probe = [
        str(PYTHON),
        "-c",
        f"import pip, sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})",
    ]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def progress_of(line: str) -> str | None:
    """What a line of pip's output is worth telling: the package it is at, or None."""
    words = line.split()
    if len(words) < 2:
        return None
    if words[0] == "Collecting":
        return f"looking up {words[1]}"
    if words[0] in ("Downloading", "Using"):
        name = words[2] if words[:2] == ["Using", "cached"] else words[1]
        return f"fetching {name.rsplit('/', 1)[-1]}"
    if words[0] == "Installing" and words[1] == "collected":
        return "unpacking, the longest step: a minute or two"
    return None


def explain(log: str) -> str:
    """Why pip failed, in plain words, from its output."""
    text = log.lower()
    if "no space left" in text or "errno 28" in text:
        return "The disk is full. Make room (about 4 GB) and start again; what is there will be used."
    offline = ("connection", "name or service", "temporary failure", "timed out", "getaddrinfo", "network is")
    if any(sign in text for sign in offline):
        return (
            "The packages could not be fetched: no way to the internet. The first start needs it, once; "
            "connect (or set your proxy) and start again, and the installation goes on where it stopped."
        )
    if "permission denied" in text or "access is denied" in text:
        return "The folder may not be written to. Move Otoscope to a folder of your own and start again."
    return f"pip did not succeed. Its last words are in {LOG.relative_to(ROOT)}; start again to retry."


def install() -> None:
    """Install requirements.txt into `.venv` with one line of progress; keep pip's output in LOG."""
    print("Otoscope: installing what it needs (once; a few minutes, about 1 GB) ...", flush=True)
    INSTALLED.unlink(missing_ok=True)
    command = [str(PYTHON), "-m", "pip", "install", "--progress-bar", "off", "--no-input", "-r", str(REQUIREMENTS)]
    on_screen = sys.stdout.isatty()
    line_format, end = ("\r  {:<76.76}", "") if on_screen else ("  {}", "\n")
    log = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    ) as pip:
        for line in pip.stdout or ():
            log.append(line)
            step = progress_of(line)
            if step:
                print(line_format.format(step), end=end, flush=True)
    if on_screen:
        print()
    LOG.write_text("".join(log), "utf-8", errors="replace")
    if pip.returncode:
        raise SetupError(explain("".join(log)))
    INSTALLED.write_text(fingerprint(REQUIREMENTS.read_bytes(), sys.version_info[:2]), "utf-8")


def ensure_environment() -> None:
    """Bring `.venv` up to date; nothing to do on most starts."""
    if is_installed():
        return
    check_machine()
    try:
        if not has_pip():
            make_venv()
        install()
    except OSError as error:
        raise SetupError(f"{explain(str(error))} ({error})") from error


def free_port(first: int = FIRST_PORT) -> int:
    """The first port from `first` that nobody listens on."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            # Without this, a port that was closed a moment ago counts as taken on Linux and macOS.
            if os.name != "nt":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SetupError(f"No free port between {first} and {first + 99}. Close other programs and start again.")


def python(*arguments: str, cwd: Path | None = None) -> int:
    """Run the environment's Python on the project; its exit status."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    if arguments[:3] == ("-m", "components.cli", "train"):
        # glibc gives memory back and takes it again for each batch otherwise: 43 % of system time.
        environment |= {"MALLOC_TRIM_THRESHOLD_": "2000000000", "MALLOC_MMAP_THRESHOLD_": "2000000000"}
    return subprocess.run([str(PYTHON), *arguments], cwd=cwd, env=environment, check=False).returncode


def app(arguments: Sequence[str]) -> int:
    """Serve the app on localhost and open the browser."""
    options = list(arguments)
    headless = "--no-browser" in options
    if headless:
        options.remove("--no-browser")
    if options[:1] == ["--port"] and len(options) == 2 and options[1].isdigit():
        port = int(options[1])
    elif options:
        print(f"run.py does not know {' '.join(options)!r}.\n\n{USAGE}", file=sys.stderr)
        return 2
    else:
        port = free_port()
    if port != FIRST_PORT and not options:
        print(f"Otoscope: port {FIRST_PORT} is taken, using {port}.", flush=True)
    print(f"Otoscope: http://localhost:{port}  (Ctrl+C here ends it)", flush=True)
    flags = ["--server.port", str(port), "--server.headless", str(headless).lower()]
    return python("-m", "streamlit", "run", "app.py", *flags, cwd=ROOT)


def test(arguments: Sequence[str]) -> int:
    """Lint, types and import contracts, then pytest; all of them even when one fails."""
    failed = []
    for name, command in {
        "ruff check": ("-m", "ruff", "check", "."),
        "ruff format": ("-m", "ruff", "format", "--check", "."),
        "mypy": ("-m", "mypy"),
        "import-linter": ("-c", "from importlinter.cli import lint_imports_command as lint; lint()"),
        "pytest": ("-m", "pytest", "-n", str(min(4, os.cpu_count() or 1)), *arguments),
    }.items():
        print(f"== {name}", flush=True)
        if python(*command, cwd=ROOT):
            failed.append(name)
    if failed:
        print(f"Failed: {', '.join(failed)}.", flush=True)
    return 1 if failed else 0


def main(argv: Sequence[str]) -> int:
    """Bring the environment up to date and do what the first word asks."""
    name, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("--") else ("app", argv)
    if argv[:1] in (["--help"], ["-h"], ["help"]):
        print(USAGE)
        return 0
    if name not in ("app", "test", "analyse", "models", "download", "remove", "add", "train", "bench"):
        print(f"run.py does not know {name!r}.\n\n{USAGE}", file=sys.stderr)
        return 2
    try:
        ensure_environment()
        if name == "app":
            return app(rest)
        if name == "test":
            return test(rest)
        if name == "bench":
            return python(str(ROOT / "tests" / "bench" / "main.py"), *rest)
        return python("-m", "components.cli", name, *rest)
    except SetupError as error:
        print(f"\nOtoscope could not start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nOtoscope: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
