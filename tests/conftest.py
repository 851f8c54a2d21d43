"""What all tests share: where the recordings are, and a last line that says how many tests had to do without."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# The workers share out the cores: threads of PyTorch's and numpy's own would only wait for each other.
# Before numpy and PyTorch are imported, and for the servers and programs that tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """What the imports left in memory stays: looking through PyTorch's objects costs each gc.collect() 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder `data` of OTOSCOPE_DATA (default ../shared); skips where it is missing."""
    folder = Path(os.environ.get("OTOSCOPE_DATA", "../shared")).resolve() / "data"
    if not folder.is_dir():
        pytest.skip("the recordings are not here (set OTOSCOPE_DATA)")
    return folder


@pytest.fixture(autouse=True, scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Downloaded models of tests go into a folder of their own, never into the user's."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTOSCOPE_MODELS", str(folder))
        yield folder
