"""What the rooms of the house hand to each other: frozen dataclasses over read-only float32 arrays.

Times are in seconds, frequencies in Hz. A frame's time is its centre.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.errors import ParameterError

FloatArray = npt.NDArray[np.float32]
Times = npt.NDArray[np.float64]

Family = Literal["classical", "cnn", "rnn", "transformer"]
ScoreKind = Literal["softmax", "sigmoid", "none"]
ActivationKind = Literal["input", "term", "hidden_state", "cell_state", "gate", "feature_map", "attention", "embedding"]
ModelSource = Literal["shipped", "package", "download"]
OWN_WORDS = "your own words"
"""Task of models that score the words that the user types."""


def _frozen(values: npt.ArrayLike, dtype: type[np.floating[Any]]) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.view()
        array.flags.writeable = False
    return array


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ParameterError(message)


def digest_of(y: FloatArray, sr: int) -> str:
    """Hex SHA-256 of the sampling rate and the float32 samples: the name under which caches keep a clip."""
    sha = hashlib.sha256(str(sr).encode())
    sha.update(np.ascontiguousarray(y, dtype=np.float32).data)
    return sha.hexdigest()


@dataclass(frozen=True)
class ClipSource:
    """Where a clip came from, before decoding.

    Attributes
    ----------
    format : container or codec, as the decoder names it ("WAV", "MP3", "generated" ...)
    channels : number of channels of the original
    sr : sampling rate of the original [Hz]
    duration_s : duration of the original [s]
    """

    format: str
    channels: int
    sr: int
    duration_s: float


@dataclass(frozen=True)
class Clip:
    """One mono recording.

    Attributes
    ----------
    name : shown to the user, never trusted as a path or as markup
    y : samples, shape (n_samples,), float32, nominally in [-1, 1]; may be a whole-file np.memmap
    sr : sampling rate [Hz]
    digest : hex SHA-256 of sr and y
    source : facts about the original file
    history : what was done to it since it was decoded, finished sentences in order; () for the recording as it came
    """

    name: str
    y: FloatArray
    sr: int
    digest: str
    source: ClipSource
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(self.y.ndim == 1, f"A clip holds one channel, not an array of shape {self.y.shape}.")
        _require(self.y.size > 0, f"{self.name} holds no samples.")
        _require(self.sr > 0, f"{self.name} has a sampling rate of {self.sr} Hz.")
        if not isinstance(self.y, np.memmap):
            object.__setattr__(self, "y", _frozen(self.y, np.float32))

    @classmethod
    def from_array(cls, name: str, y: npt.ArrayLike, sr: int, source: ClipSource | None = None) -> Clip:
        """Make a clip of samples in memory, shape (n_samples,)."""
        samples = np.ascontiguousarray(y, dtype=np.float32)
        facts = source or ClipSource("generated", 1, sr, samples.size / max(sr, 1))
        return cls(name, samples, sr, digest_of(samples, sr), facts)

    @property
    def duration(self) -> float:
        """Duration [s]."""
        return self.y.size / self.sr

    def read(self, start: int, stop: int) -> FloatArray:
        """Samples start..stop (clamped) in memory, without leaving a memory-mapped file's pages resident."""
        start, stop = max(0, start), min(self.y.size, stop)
        if not isinstance(self.y, np.memmap):
            return self.y[start:stop]
        # A plain read: pages touched through the map would stay in the server's resident memory.
        count = max(0, stop - start)
        return np.fromfile(str(self.y.filename), np.float32, count, offset=start * 4)

    def blocks(self, size: int) -> Iterator[FloatArray]:
        """The samples in consecutive blocks of at most `size`."""
        for start in range(0, self.y.size, size):
            yield self.read(start, start + size)

    def section(self, t0: float, t1: float) -> Clip:
        """The part from t0 to t1 [s], clamped to the clip, at least one sample long, in memory."""
        start = min(max(0, round(t0 * self.sr)), self.y.size - 1)
        stop = max(start + 1, min(self.y.size, round(t1 * self.sr)))
        if start == 0 and stop == self.y.size:
            return self
        return Clip.from_array(self.name, self.read(start, stop), self.sr, self.source)


@dataclass(frozen=True)
class FrameParams:
    """How a sound is cut into frames and frequency bands (librosa's names).

    Attributes
    ----------
    n_fft : samples in a frame's Fourier transform
    hop_length : samples from one frame to the next
    win_length : samples under the window, centred in n_fft; None for n_fft
    window : name of the window, as scipy.signal.get_window takes it, or "gaussian", Praat's
    n_mels, n_mfcc : number of mel bands and of cepstral coefficients
    fmin, fmax : lowest and highest mel edge [Hz]; fmax None for sr / 2
    """

    n_fft: int = 1024
    hop_length: int = 256
    win_length: int | None = None
    window: str = "hann"
    n_mels: int = 64
    n_mfcc: int = 13
    fmin: float = 0.0
    fmax: float | None = None

    def __post_init__(self) -> None:
        _require(16 <= self.n_fft <= 65536, f"n_fft is {self.n_fft}; it must lie between 16 and 65536.")
        _require(self.hop_length >= 1, f"hop_length is {self.hop_length}; it must be at least 1.")
        _require(
            self.win_length is None or 1 <= self.win_length <= self.n_fft,
            f"win_length is {self.win_length}; it must lie between 1 and n_fft ({self.n_fft}).",
        )
        _require(self.n_mels >= 1, f"n_mels is {self.n_mels}; it must be at least 1.")
        _require(
            1 <= self.n_mfcc <= self.n_mels,
            f"n_mfcc is {self.n_mfcc}; it must lie between 1 and n_mels ({self.n_mels}).",
        )
        _require(
            self.fmin >= 0 and (self.fmax is None or self.fmax > self.fmin),
            f"The mel range {self.fmin} to {self.fmax} Hz is empty.",
        )


@dataclass(frozen=True)
class Feature:
    """A time-frequency (or time-anything) picture as numbers.

    Attributes
    ----------
    name : "spectrogram", "mfcc", ...
    values : shape (n_bins, n_frames)
    times : frame centres, shape (n_frames,) [s]
    bins : centre of each row, shape (n_bins,), in bin_unit
    bin_unit, value_unit : units of the rows and of the values
    params : how it was made
    """

    name: str
    values: FloatArray
    times: Times
    bins: Times
    bin_unit: str
    value_unit: str
    params: FrameParams

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, np.float32))
        object.__setattr__(self, "times", _frozen(self.times, np.float64))
        object.__setattr__(self, "bins", _frozen(self.bins, np.float64))
        _require(
            self.values.shape == (self.bins.size, self.times.size),
            f"{self.name}: values {self.values.shape} do not fit {self.bins.size} bins and {self.times.size} frames.",
        )


@dataclass(frozen=True)
class Track:
    """Curves over time that share their moments: pitch, formants, loudness ...

    Attributes
    ----------
    name : "pitch", "formants" ...
    labels : name of each curve, length n_curves ("F1", "F2" ...)
    values : shape (n_curves, n_frames), float64 as the library gave them; NaN where there is none (unvoiced)
    times : frame centres, shape (n_frames,) [s]
    unit : of the values ("Hz", "dB" ...); "" for none
    method : who computed it and with which parameters, one sentence, for captions and exports
    strength : how sure each value is, 0 to 1, shape of `values`; None where the method does not say
    """

    name: str
    labels: tuple[str, ...]
    values: Times
    times: Times
    unit: str
    method: str
    strength: Times | None = None

    def __post_init__(self) -> None:
        for field in ("values", "times", "strength"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, _frozen(value, np.float64))
        shape = (len(self.labels), self.times.size)
        _require(self.values.shape == shape, f"{self.name}: values {self.values.shape} do not fit {shape}.")
        _require(
            self.strength is None or self.strength.shape == shape,
            f"{self.name}: strengths do not fit the values' shape {shape}.",
        )


@dataclass(frozen=True)
class Selection:
    """A stretch that the user marked: start and end [s], and lowest and highest frequency [Hz] where it is a band."""

    start: float
    end: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _require(self.end > self.start >= 0, f"A selection from {self.start} to {self.end} s is empty.")
        _require((self.low is None) == (self.high is None), "A band has a lower and an upper edge, or none.")
        if self.low is not None and self.high is not None:
            _require(self.high > self.low >= 0, f"A band from {self.low} to {self.high} Hz is empty.")

    @property
    def duration(self) -> float:
        """Duration [s]."""
        return self.end - self.start


@dataclass(frozen=True)
class Measure:
    """One number about a stretch of sound.

    Attributes
    ----------
    name : its column in tables, with the unit: "pitch_mean_hz"
    title : the same for a person: "Pitch, mean"
    value : NaN where it is not defined (no voice, too short)
    unit : "Hz", "dB" ...; "" for none
    meaning : one plain sentence
    """

    name: str
    title: str
    value: float
    unit: str
    meaning: str


@dataclass(frozen=True)
class Tier:
    """A named row of annotations, as annotation programs have it: stretches in order of their start.

    A stretch of no duration is a point. The stretches of a tier may overlap.
    """

    name: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Segment:
    """A stretch of time with a label: start and end [s], label, score in the unit of its model."""

    start: float
    end: float
    label: str
    score: float

    def __post_init__(self) -> None:
        _require(self.end >= self.start, f"A segment ends at {self.end} s before it starts at {self.start} s.")


@dataclass(frozen=True)
class Prediction:
    """What a model says about a clip, frame by frame.

    Attributes
    ----------
    model : id of the model
    labels : class names, length n_classes; () for a model that has none (its "embedding" says what it heard)
    scores : shape (n_frames, n_classes)
    activation : "softmax" (rows sum to 1), "sigmoid" (each class for itself) or "none" (raw numbers)
    times : frame centres, shape (n_frames,) [s]
    window_s, hop_s : how much sound one frame's score has heard, and the step between frames [s]
    segments : labelled stretches, where the model itself finds some
    text : transcript, where the model writes one
    """

    model: str
    labels: tuple[str, ...]
    scores: FloatArray
    activation: ScoreKind
    times: Times
    window_s: float
    hop_s: float
    segments: tuple[Segment, ...] = ()
    text: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _frozen(self.scores, np.float32))
        object.__setattr__(self, "times", _frozen(self.times, np.float64))
        _require(
            self.scores.shape == (self.times.size, len(self.labels)),
            f"{self.model}: scores {self.scores.shape} do not fit {self.times.size} frames "
            f"and {len(self.labels)} labels.",
        )


@dataclass(frozen=True)
class Activation:
    """What one layer of a model held while it listened.

    Attributes
    ----------
    layer : name of the layer, one of its card's `layers`
    kind : what the numbers are
    values : shape as named by `dims`
    dims : name of each axis, e.g. ("frame", "unit"), ("channel", "mel", "frame"), ("head", "query", "key")
    times : centre of each "frame" (or "query"), shape (n_frames,) [s], or None
    """

    layer: str
    kind: ActivationKind
    values: FloatArray
    dims: tuple[str, ...]
    times: Times | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _frozen(self.values, np.float32))
        _require(
            len(self.dims) == self.values.ndim,
            f"{self.layer}: {len(self.dims)} names for {self.values.ndim} axes.",
        )
        if self.times is None:
            return
        object.__setattr__(self, "times", _frozen(self.times, np.float64))
        clock = "frame" if "frame" in self.dims else "query"
        _require(clock in self.dims, f"{self.layer} has times but neither a frame nor a query axis.")
        n_frames = self.values.shape[self.dims.index(clock)]
        _require(n_frames == self.times.size, f"{self.layer}: {self.times.size} times for {n_frames} frames.")


@dataclass(frozen=True)
class HeldOut:
    """One score on data that the model never heard.

    Attributes
    ----------
    metric : what was counted, in plain words
    score, worst : mean and worst fold, in [0, 1]
    folds : (name of the fold, score) for each
    protocol : how the folds were made
    """

    metric: str
    score: float
    worst: float
    folds: tuple[tuple[str, float], ...]
    protocol: str


@dataclass(frozen=True)
class ModelCard:
    """What a user must know about a model before trusting it.

    Attributes
    ----------
    id, title, summary : stable id; name; one plain sentence
    family, task, labels : kind of model; what it is for; class names in the order of the scores
    sr, window_s, hop_s : rate it listens at [Hz]; sound behind one score [s]; step between scores [s]
    layers, emits : names that `inspect` takes; the kind of activation of each, in the same order
    source, size_bytes : where the weights come from; their size
    licence, citation, training_data : of the weights
    held_out : scores on unseen speakers or sources; () when not measured by this project
    caveats : what goes wrong, in plain words
    languages : of the speech that the model understands; () where it does not matter
    revision, homepage : of weights that are downloaded: the pinned version; where they are described
    published : figures quoted from papers or model cards, each a sentence with its source
    label_groups : (name, first label, stop label) where there are very many labels; () otherwise

    A model that is not on this machine yet may have no labels and layers on its card: its weights bring them. A model
    whose labels stay () gives embeddings instead of scores, and one whose task is OWN_WORDS asks for the labels.
    """

    id: str
    title: str
    summary: str
    family: Family
    task: str
    labels: tuple[str, ...]
    sr: int
    window_s: float
    hop_s: float
    layers: tuple[str, ...]
    emits: tuple[ActivationKind, ...]
    source: ModelSource
    size_bytes: int
    licence: str
    citation: str
    training_data: str
    held_out: tuple[HeldOut, ...]
    caveats: tuple[str, ...]
    languages: tuple[str, ...] = ()
    revision: str = ""
    homepage: str = ""
    published: tuple[str, ...] = ()
    label_groups: tuple[tuple[str, int, int], ...] = ()

    def __post_init__(self) -> None:
        _require(len(set(self.labels)) == len(self.labels), f"{self.id} names a label twice.")
        _require(len(self.layers) == len(self.emits), f"{self.id} must name one kind for each layer.")
        _require(self.sr > 0 and self.window_s > 0 and self.hop_s > 0, f"{self.id}: sr, window and hop > 0.")

    @property
    def kinds(self) -> dict[str, ActivationKind]:
        """What each layer holds, in the order of `layers`."""
        return dict(zip(self.layers, self.emits, strict=True))
