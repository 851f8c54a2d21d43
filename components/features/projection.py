"""Many units in two or three numbers that can be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError
from components.types import Activation, FloatArray, Times


@dataclass(frozen=True)
class Projection:
    """Frames as points.

    Attributes
    ----------
    points : shape (n_frames, n_components), float32, centred on the mean
    explained : share of the variance along each component, shape (n_components,)
    """

    points: FloatArray
    explained: FloatArray


def project(values: npt.ArrayLike, n_components: int = 3) -> Projection:
    """Principal components of the frames, `values` of shape (n_frames, n_units).

    Components that do not exist (fewer frames or units, or no variance at all) are zero and explain nothing.

    Raises
    ------
    ParameterError : when values is not two-dimensional or holds NaN or infinite numbers

    Source: sklearn.decomposition.PCA, signs fixed by the largest loading.
    """
    X = np.asarray(values, dtype=np.float64)
    if X.ndim != 2 or not X.size or not np.isfinite(X).all():
        raise ParameterError("Only a table of finite numbers, frames by units, can be projected.")
    points = np.zeros((X.shape[0], n_components), np.float32)
    explained = np.zeros(n_components, np.float32)
    if np.ptp(X, axis=0).max() > 0:
        from sklearn.decomposition import PCA

        k = min(n_components, *X.shape)
        pca = PCA(n_components=k, svd_solver="full" if X.shape[0] < 4 * X.shape[1] else "covariance_eigh")
        points[:, :k] = pca.fit_transform(X)
        explained[:k] = pca.explained_variance_ratio_
    return Projection(points, explained)


def nearest(times: Times, t: float) -> int:
    """Index of the time nearest to `t`; `times` in order, shape (n,) with n >= 1."""
    return int(np.abs(times - t).argmin())


def units_of(activation: Activation) -> FloatArray | None:
    """A layer's values as frames by units, shape (n_frames, n_units); None where there are no such (attention).

    A feature map ("channel", "mel", "frame") becomes one unit a channel: its mean over the mel axis.
    """
    values, dims = activation.values, activation.dims
    if "frame" not in dims or len(dims) > 3:
        return None
    if len(dims) == 3:
        if dims[0] != "channel":
            return None
        middle = next(axis for axis in (1, 2) if dims[axis] != "frame")
        values, dims = values.mean(axis=middle), (dims[0], "frame")
    return np.ascontiguousarray(values if dims[0] == "frame" else values.T)
