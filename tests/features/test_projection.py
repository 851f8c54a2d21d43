import numpy as np
import pytest

from components.errors import ParameterError
from components.features.projection import project


def test_a_plane_in_many_dimensions_is_found():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(300, 2)) * [3, 1]
    basis = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    found = project(flat @ basis.T + 5)
    assert found.points.shape == (300, 3)
    assert found.explained.sum() == pytest.approx(1, abs=1e-5)
    assert found.explained[2] == pytest.approx(0, abs=1e-5)
    assert found.explained[0] > found.explained[1]
    # Distances between frames are kept.
    a = np.linalg.norm(flat[:-1] - flat[1:], axis=1)
    b = np.linalg.norm(found.points[:-1] - found.points[1:], axis=1)
    assert b == pytest.approx(a, rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (7, 1), (3000, 4)])
def test_few_frames_or_units_leave_zeros(shape):
    values = np.random.default_rng(1).normal(size=shape)
    found = project(values)
    assert found.points.shape == (shape[0], 3)
    assert np.isfinite(found.points).all()
    assert found.explained.sum() <= 1 + 1e-5


def test_constant_input_explains_nothing():
    found = project(np.full((10, 4), 0.3))
    assert not found.points.any()
    assert not found.explained.any()


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 3)), np.full((3, 3), np.nan)])
def test_what_cannot_be_projected_is_refused(bad):
    with pytest.raises(ParameterError):
        project(bad)
