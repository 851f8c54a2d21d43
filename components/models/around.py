"""What a moment is surrounded by: mean and spread of coefficients over a second or two on each side of every frame.

A class that is in how a voice goes on (acted emotion) shows in no single frame. A network that is handed these running
statistics beside the frame need not learn to gather them.
"""

from __future__ import annotations

import torch

SOUNDING = 1e-3
"""Mean mel power, relative to the clip's active frames, above which a frame counts fully (-30 dB)."""
QUIET = 1e-3
"""Weight of all other frames: they only count where nothing else is near."""
SLOPE = 2
"""Frames on each side that a slope depends on."""
PARTS = 3
"""Statistics of each coefficient."""


def running_statistics(log_mel: torch.Tensor, z: torch.Tensor, around: int) -> torch.Tensor:
    """Weighted mean of z, and logarithm of the spread of z and of its slope, over the frames t - around ... t + around.

    mean = sum w z / sum w, spread^2 = sum w z^2 / sum w - mean^2, slope_t = (z_{t+2} - z_{t-2}) / 2; w is 1 for frames
    that sound and QUIET for the others, 0 beyond the ends.

    Parameters
    ----------
    log_mel : levelled frames, shape (B, T, n_mels)
    z : coefficients of the same frames, shape (B, T, n)
    around : frames on each side

    Returns
    -------
    shape (B, T, PARTS n); whole where around + SLOPE frames lie on both sides
    """
    loud = log_mel.exp().mean(dim=2, keepdim=True) > SOUNDING
    w = torch.where(loud, 1.0, QUIET).double()
    at = torch.arange(z.shape[1])
    later, earlier = (at + SLOPE).clamp(max=z.shape[1] - 1), (at - SLOPE).clamp(min=0)
    slope = (z[:, later] - z[:, earlier]) / 2
    sums = torch.cat([w, w * z, w * z**2, w * slope, w * slope**2], dim=2).cumsum(dim=1)
    sums = torch.cat([torch.zeros_like(sums[:, :1]), sums], dim=1)
    stop, start = (at + around + 1).clamp(max=z.shape[1]), (at - around).clamp(min=0)
    total, *moments = (sums[:, stop] - sums[:, start]).split([1, *[z.shape[2]] * 4], dim=2)
    mean, square, slope_mean, slope_square = (moment / total for moment in moments)
    spreads = [(square - mean**2), (slope_square - slope_mean**2)]
    logs = [spread.clamp(min=0).sqrt().add(0.05).log() for spread in spreads]
    return torch.cat([mean, *logs], dim=2).float()
