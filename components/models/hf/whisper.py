"""Whisper: speech to text with the time of each word, in windows of 30 s.

Greedy decoding, the most probable token each time: the same sound gives the same text. Recordings of at most 30 s
are one window; longer ones are heard in windows that begin where the one before stopped, at the last time mark that
the model wrote, as the reference does. Either way the text is that of `transformers.pipeline` with one beam.

The time of a word comes from the decoder's attention: the heads that are known to follow the sound say for each
token where in the sound it was looking when it wrote the token, and dynamic time warping makes these places one path.
The network runs once more over the finished text for it, as the reference does.

Whisper was trained to always write something and makes up sentences in silence and noise. Windows in which nothing
sounds are not given to it, and what it is unsure of and itself holds for no speech is left out.

Source: Radford et al. 2022, https://arxiv.org/abs/2212.04356, and https://github.com/openai/whisper (`transcribe`,
`timing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor

from components.audio.transform import resampled_blocks
from components.errors import ModelError
from components.models.base import OnProgress, check_layers
from components.models.hf import checkpoint
from components.models.hf.windows import shares
from components.models.hooks import outputs_of
from components.types import Activation, Clip, FloatArray, ModelCard, Prediction, Segment, Times

SR = 16000
WINDOW_S, HOP_S, MEL_HOP_S = 30.0, 0.02, 0.01
LABELS = ("word",)
SILENT = 1e-4
"""Below this peak (-80 dB of full scale) nothing sounds; the dither of a 16-bit file reaches 6e-5."""
NO_SPEECH, SURE = 0.6, -1.0
"""A window is left out when its probability of no speech is above the first and its mean log probability below the
second: the thresholds of the reference."""
MEASURING, LISTENING = 0.02, 0.98
"""Shares of the work on a long recording, for progress: finding its loudest moment, and all the rest."""
LONGEST_WORD_S = 1.4
NOTE = (
    "The times of words are good to about 0.1 s in clear speech; a pause is often counted to a word beside it. "
    "Stretches of 30 s without any sound are left out, but in noise and music it can make words up."
)
ENCODER, DECODER = "model.encoder", "model.decoder"


@dataclass(frozen=True)
class Window:
    """A stretch of at most 30 s as the encoder takes it.

    Attributes
    ----------
    start : its first mel frame, of the recording's
    n_frames : mel frames of sound in it; what follows them is padding
    features : (1, n_mels, 3000)
    sounds : whether anything in it is louder than SILENT
    """

    start: int
    n_frames: int
    features: Tensor
    sounds: bool


@dataclass(frozen=True)
class Said:
    """What the decoder wrote about a window.

    Attributes
    ----------
    prompt : tokens it was given to begin with
    tokens : tokens that it wrote, time marks among them, without the end mark
    logprob : mean log probability of what it wrote
    """

    prompt: list[int]
    tokens: list[int]
    logprob: float


class Ears:
    """Log-mel frames of a recording, equal to those of `WhisperFeatureExtractor` over the whole of it.

    log10 of the mel power (Slaney's bands, 25 ms Hann windows every 10 ms), at most 8 (80 dB) below the loudest
    moment of the whole recording, shifted and scaled to about -1 to 1.
    """

    def __init__(self, extractor: Any) -> None:
        self.sr, self.n_fft, self.hop = extractor.sampling_rate, extractor.n_fft, extractor.hop_length
        self.n_samples, self.n_frames = extractor.n_samples, extractor.nb_max_frames
        self.filters = torch.from_numpy(extractor.mel_filters).float().T
        self.hann = torch.hann_window(self.n_fft)

    def log_mel(self, y: FloatArray) -> Tensor:
        """log10 of the mel power of all whole frames in y, (n_mels, n_frames)."""
        stft = torch.stft(
            torch.from_numpy(y), self.n_fft, self.hop, window=self.hann, center=False, return_complex=True
        )
        return torch.clamp(self.filters @ (stft.abs() ** 2), min=1e-10).log10()

    def window(self, y: FloatArray, start: int, n_frames: int, loudest: float | None) -> Window:
        """The frames of y, which holds half a frame more on each side; `loudest` None for the loudest of these."""
        x = self.log_mel(y)
        x = (torch.maximum(x, x.max() - 8.0 if loudest is None else torch.tensor(loudest - 8.0)) + 4.0) / 4.0
        features = F.pad(x, (0, self.n_frames - x.shape[1]))[None]
        return Window(start, n_frames, features, bool(np.abs(y).max() >= SILENT))

    def short(self, y: FloatArray) -> Window:
        """The only window of a recording of at most 30 s, which silence fills up, shape (n_samples,)."""
        full = np.pad(y, (0, self.n_samples - y.size))
        half = self.n_fft // 2
        # The last of the centred frames is left out, as by the feature extractor.
        return self.window(np.pad(full, half, mode="reflect")[: -self.hop], 0, -(-y.size // self.hop), None)

    def mirrored(self, clip: Clip) -> Iterator[FloatArray]:
        """The clip at the model's rate in blocks, with half a frame of its mirror image before and behind it."""
        half = self.n_fft // 2
        held, first = np.zeros(0, np.float32), True
        for block in resampled_blocks(clip, self.sr):
            held = np.concatenate([held, block])
            if first and held.size > half:
                yield held[half:0:-1]
                first = False
            if held.size > self.n_fft:
                yield held[: -self.n_fft]
                held = held[-self.n_fft :]
        yield held
        yield held[-2 : -half - 2 : -1]

    def measure(self, clip: Clip, report: Callable[[float], None]) -> tuple[float, int]:
        """log10 of the loudest mel power in the clip; its number of samples at the model's rate."""
        total = clip.duration * self.sr + self.n_fft
        held, loudest, size = np.zeros(0, np.float32), -10.0, 0
        for block in self.mirrored(clip):
            held = np.concatenate([held, block])
            size += block.size
            # One frame always stays behind: the last of all is left out, as by the feature extractor.
            n = (held.size - self.n_fft) // self.hop
            if n > 0:
                loudest = max(loudest, float(self.log_mel(held[: (n - 1) * self.hop + self.n_fft]).max()))
                held = held[n * self.hop :]
            report(min(1.0, size / total))
        return loudest, size - self.n_fft


class Tape:
    """A stream of samples of which a stretch at a time is held; stretches may overlap but never go back."""

    def __init__(self, blocks: Iterator[FloatArray]) -> None:
        self.blocks = blocks
        self.held = np.zeros(0, np.float32)
        self.first = 0

    def read(self, start: int, stop: int) -> FloatArray:
        """Samples start..stop, fewer at the end of the stream."""
        parts = [self.held[start - self.first :]]
        self.first, size = start, parts[0].size
        while size < stop - start and (block := next(self.blocks, None)) is not None:
            parts.append(block)
            size += block.size
        self.held = np.concatenate(parts)
        return self.held[: stop - start]


class Listener:
    """Called by transformers before each token, with what the network and all the rules make of the choices."""

    def __init__(self, report: Callable[[float], None], most: int) -> None:
        self.report, self.most = report, most
        self.prompt, self.count, self.total = 0, 0, 0.0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.prompt = self.prompt or input_ids.shape[1]
        self.count += 1
        # Decoding is greedy: the most probable token is the one that will be written.
        self.total += float(scores.log_softmax(-1).max())
        self.report(min(1.0, self.count / self.most))
        return scores


def kept_part(tokens: list[int], first_mark: int, n_frames: int) -> tuple[list[int], int]:
    """What of a window's tokens counts, and how many mel frames on the next window begins.

    Two time marks in a row end one sentence and begin the next. What follows the last such pair was cut by the end
    of the window, and the next window begins there; unless the last mark stands alone, which says that nothing
    follows, or there is no pair.

    Parameters
    ----------
    tokens : text tokens and time marks
    first_mark : token of the mark 0.00 s; each further one is 0.02 s later
    n_frames : mel frames in the window
    """
    marks = [token >= first_mark for token in tokens]
    pairs = [i for i in range(len(marks) - 1) if marks[i] and marks[i + 1]]
    if not pairs or marks[-2:] == [False, True]:
        return tokens, n_frames
    last = pairs[-1]
    return tokens[: last + 2], max(1, tokens[last] - first_mark) * 2


def attention_weights(q: Tensor, k: Tensor, n_heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) of each head: projections (n_queries, D), (n_keys, D) -> (head, query, key)."""
    q, k = (x.view(x.shape[0], n_heads, -1).transpose(0, 1) for x in (q, k))
    weights: Tensor = (q * q.shape[-1] ** -0.5 @ k.transpose(1, 2)).softmax(-1)
    return weights


def jump_times(weights: Tensor, width: int) -> Times:
    """When each row's token begins, by dynamic time warping of the heads' attention, (n_rows,) [s].

    Parameters
    ----------
    weights : (head, row, frame), one frame every HOP_S
    width : frames of the median filter that smooths the weights

    Source: `find_alignment` of the reference: each head's weights standardised over the rows, median filter over time,
    mean of the heads.
    """
    from librosa.sequence import dtw

    std, mean = torch.std_mean(weights, dim=1, keepdim=True, correction=0)
    level = ((weights - mean) / std.clamp(min=1e-12)).numpy()
    matrix = scipy.ndimage.median_filter(level, size=(1, 1, width), mode="mirror").mean(axis=0)
    _, path = dtw(C=-matrix.astype(np.float64))
    rows, columns = path[::-1].T
    first: Times = columns[np.searchsorted(rows, np.arange(len(matrix)))] * HOP_S
    return first


def longest_word(durations: Times) -> float:
    """How long the first word of a window may last [s]: twice the median of those that last, at most LONGEST_WORD_S.

    It would begin with the window, whatever pause there is before it.
    """
    lasting = durations[durations > 0]
    return min(LONGEST_WORD_S, 2 * float(np.median(lasting))) if lasting.size else 0.0


def frame_scores(words: Sequence[Segment], n_frames: int) -> FloatArray:
    """For each frame of HOP_S the score of the word that is spoken there, 0 between words, (n_frames, 1)."""
    scores = np.zeros((n_frames, 1), np.float32)
    for word in words:
        first = min(int(np.ceil(word.start / HOP_S - 1e-6)), n_frames - 1)
        stop = max(first + 1, int(np.ceil(word.end / HOP_S - 1e-6)))
        scores[first:stop, 0] = word.score
    return scores


def facts(path: Path) -> dict[str, object]:
    """What config.json decides of a card."""
    config = checkpoint.read_config(path)
    above, below = range(1, config["encoder_layers"] + 1), range(1, config["decoder_layers"] + 1)
    layers = ["input", *(f"layer_{n}" for n in above), *(f"attention_{n}" for n in above)]
    layers += [f"cross_attention_{n}" for n in below]
    kinds = ["input", *["hidden_state"] * len(above), *["attention"] * (len(above) + len(below))]
    return {
        "family": "transformer",
        "task": "speech to text",
        "labels": LABELS,
        "sr": SR,
        "window_s": WINDOW_S,
        "hop_s": HOP_S,
        "layers": tuple(layers),
        "emits": tuple(kinds),
    }


def load(path: Path, card: ModelCard, *, trust_bin: bool = False) -> Whisper:
    """The model in `path`. A single language on the card is taken as known; else the model finds it out."""
    from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

    net = checkpoint.load_net(path, WhisperForConditionalGeneration, trust_bin=trust_bin)
    tokenizer = checkpoint.load_part(path, AutoTokenizer)
    ears = Ears(checkpoint.load_part(path, AutoFeatureExtractor))
    known: dict[str, Any] = facts(path)
    language = card.languages[0] if len(card.languages) == 1 else ""
    caveats = tuple(dict.fromkeys((*card.caveats, NOTE)))
    return Whisper(replace(card, **known | {"caveats": caveats}), net, tokenizer, ears, language=language)


class Whisper:
    """A Whisper network with its card; see `components.models.base.AudioModel`.

    Parameters
    ----------
    card, net, tokenizer, ears : the model's parts
    language : name or code of the language that is spoken; "" to let the model find out from the first sound
    """

    def __init__(self, card: ModelCard, net: Any, tokenizer: Any, ears: Ears, *, language: str = "") -> None:
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

        self.card = card
        self.net = net
        self.tokenizer = tokenizer
        self.ears = ears
        settings = net.generation_config
        one_language = getattr(settings, "is_multilingual", True) is False
        marks = {} if one_language else getattr(settings, "lang_to_id", {})
        self._languages = {token: mark for mark, token in marks.items()}
        code = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
        self.language = code if f"<|{code}|>" in self._languages.values() else ""
        # Checkpoints with an old generation_config.json know no time marks.
        self._no_marks: int | None = getattr(settings, "no_timestamps_token_id", None)
        self._end: int = net.config.eos_token_id
        n_layers, n_heads = net.config.decoder_layers, net.config.decoder_attention_heads
        every = [(layer, head) for layer in range(n_layers // 2, n_layers) for head in range(n_heads)]
        self._followers = [tuple(pair) for pair in getattr(settings, "alignment_heads", None) or every]

    @torch.inference_mode()
    def predict(self, clip: Clip, on_progress: OnProgress | None = None) -> Prediction:
        """Words with their times in `segments`, the text, and for each 20 ms the score of the word spoken there.

        A word's score is the mean probability of its tokens.
        """
        words: list[Segment] = []
        texts: list[str] = []
        language = self.language
        windows = _Windows(self.ears, clip, on_progress)
        while (window := windows.next()) is not None:
            advance = window.n_frames
            if window.sounds:
                encoded = self._encode(window)
                language = language or self._detect(encoded)
                text, said, advance = self._transcribe(window, encoded, language, windows.several, windows.within)
                texts.append(text)
                words += said
            windows.advance(advance)
        n_frames = max(1, -(-windows.n_samples // (2 * self.ears.hop)))
        card = self.card
        return Prediction(
            card.id,
            card.labels,
            frame_scores(words, n_frames),
            "sigmoid",
            _times(n_frames, HOP_S),
            card.window_s,
            card.hop_s,
            tuple(words),
            "".join(texts).strip(),
        )

    @torch.inference_mode()
    def inspect(
        self, clip: Clip, layers: Sequence[str], on_progress: OnProgress | None = None
    ) -> dict[str, Activation]:
        """As `AudioModel.inspect`, in windows of 30 s side by side; the padding of the last is cut off.

        "input" is the log-mel spectrogram. "layer_n" is the encoder's hidden state, the last one after its final
        normalisation, as the decoder reads it. "cross_attention_n" says for each token, those of the prompt first,
        where in the sound the decoder looked, ("head", "token", "frame").

        Raises
        ------
        ModelError : unknown layer, or attention of more than one window
        """
        check_layers(self.card, layers)
        if clip.duration > WINDOW_S and any(self.card.kinds[name] == "attention" for name in layers):
            raise ModelError(
                f"Whisper pays attention to {WINDOW_S:.0f} s at once, and this is {clip.duration:.0f} s long; "
                "choose a shorter section to see its attention."
            )
        parts: dict[str, list[FloatArray]] = {name: [] for name in layers}
        windows = _Windows(self.ears, clip, on_progress)
        while (window := windows.next()) is not None:
            found = self._layers(window, layers, windows.within)
            for name in layers:
                parts[name].append(found[name].numpy())
            windows.advance(window.n_frames)
        return {name: self._activation(name, parts[name]) for name in layers}

    def _encode(self, window: Window) -> Tensor:
        """The encoder's output, (1, 1500, D)."""
        encoded: Tensor = self.net.model.encoder(window.features).last_hidden_state
        return encoded

    def _transcribe(
        self, window: Window, encoded: Tensor, language: str, several: bool, report: Callable[[float], None]
    ) -> tuple[str, list[Segment], int]:
        """Text and words of a window, and on how many mel frames the next one begins.

        `several` : the recording has more windows, so that time marks must say where sentences end
        """
        said = self._decode(encoded, language, marks=several, report=report)
        if self._unspoken(encoded, said):
            return "", [], window.n_frames
        tokens, advance = said.tokens, window.n_frames
        if several and self._no_marks is not None:
            tokens, advance = kept_part(tokens, self._no_marks + 1, window.n_frames)
        said = replace(said, tokens=[token for token in tokens if token < self._end])
        words = self._words(encoded, said, window.start, min(advance, window.n_frames), language)
        return self.tokenizer.decode(said.tokens), words, advance

    def _detect(self, encoded: Tensor) -> str:
        """Code of the language that is most probably spoken; "" where the model knows only one."""
        from transformers.modeling_outputs import BaseModelOutput

        if not self._languages:
            return ""
        token = int(self.net.detect_language(encoder_outputs=BaseModelOutput(last_hidden_state=encoded))[0])
        code: str = self._languages[token].strip("<|>")
        return code

    def _decode(self, encoded: Tensor, language: str, *, marks: bool, report: Callable[[float], None]) -> Said:
        """Write a window's text; `marks` with time marks. `report` hears of every token and may raise."""
        from transformers.modeling_outputs import BaseModelOutput

        settings = self.net.generation_config
        listener = Listener(report, settings.max_new_tokens or self.net.config.max_target_positions)
        options = {"language": language} if language else {}
        sequence = self.net.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            logits_processor=[listener],
            return_timestamps=marks and self._no_marks is not None,
            force_unique_generate_call=True,  # one window, one pass: `predict` goes on to the next
            num_beams=1,
            do_sample=False,
            **options,
        )[0].tolist()
        prompt, tokens = sequence[: listener.prompt], sequence[listener.prompt :]
        if self._end in tokens:
            tokens = tokens[: tokens.index(self._end)]
        return Said(prompt, tokens, listener.total / max(1, listener.count))

    def _unspoken(self, encoded: Tensor, said: Said) -> bool:
        """Whether the model is unsure of what it wrote and holds the window for no speech."""
        if said.logprob >= SURE or self._no_marks is None:
            return False
        start = said.prompt.index(self.net.config.decoder_start_token_id)
        hidden = self._read(encoded, said.prompt[: start + 1])
        share = self.net.proj_out(hidden[-1:]).softmax(-1)
        # The mark for "no speech" stands before the one for "no time marks" in every Whisper vocabulary.
        return bool(share[0, self._no_marks - 1] > NO_SPEECH)

    def _read(self, encoded: Tensor, tokens: list[int]) -> Tensor:
        """The decoder's hidden states for given tokens, (n_tokens, D)."""
        states: Tensor = self.net.model.decoder(
            input_ids=torch.tensor([tokens]), encoder_hidden_states=encoded, use_cache=False
        ).last_hidden_state
        return states[0]

    def _words(self, encoded: Tensor, said: Said, start: int, n_frames: int, language: str) -> list[Segment]:
        """The words of a window, whose tokens are text only, on the clock of the recording.

        They were spoken in the `n_frames` mel frames from `start` on: the next window answers for the rest.
        """
        from transformers.models.whisper.tokenization_whisper import LANGUAGES, _combine_tokens_into_words

        prompt, text = said.prompt, said.tokens
        if not text:
            return []
        if self._no_marks is not None and prompt[-1] != self._no_marks:
            prompt = [*prompt, self._no_marks]
        begins, share = self._align(encoded, prompt, text, n_frames)
        names, tokens_of, _ = _combine_tokens_into_words(self.tokenizer, text, LANGUAGES.get(language, "english"))
        edges = np.cumsum([0, *map(len, tokens_of)])
        offset = start * MEL_HOP_S
        starts, ends = begins[edges[:-1]], begins[edges[1:]]
        starts[0] = max(starts[0], ends[0] - longest_word(ends - starts))
        return [
            Segment(offset + float(start), offset + float(end), name.strip(), float(share[a:b].mean()))
            for name, start, end, a, b in zip(names, starts, ends, edges[:-1], edges[1:], strict=True)
            if name.strip()
        ]

    def _align(self, encoded: Tensor, prompt: list[int], text: list[int], n_frames: int) -> tuple[Times, FloatArray]:
        """When each token begins, and the last ends, (n + 1,) [s]; the probability of each, (n,).

        A token is looked up while it is written: with the tokens up to the one before it.
        """
        layers = sorted({layer for layer, _ in self._followers})
        names = [f"{DECODER}.layers.{layer}.encoder_attn.{x}_proj" for layer in layers for x in "qk"]
        with outputs_of(self.net, names) as kept:
            hidden = self._read(encoded, prompt + text)[len(prompt) - 1 :]
        logits = self.net.proj_out(hidden[:-1])[:, : self._end]
        share = logits.softmax(-1)[torch.arange(len(text)), torch.tensor(text)].numpy()
        heads = self.net.config.decoder_attention_heads
        weights = {
            layer: attention_weights(
                kept[f"{DECODER}.layers.{layer}.encoder_attn.q_proj"][0][0][len(prompt) - 1 :],
                kept[f"{DECODER}.layers.{layer}.encoder_attn.k_proj"][0][0],
                heads,
            )
            for layer in layers
        }
        followed = torch.stack([weights[layer][head] for layer, head in self._followers])
        frames = max(1, n_frames // 2)
        return jump_times(followed[:, :, :frames], self.net.config.median_filter_width), share

    def _layers(self, window: Window, layers: Sequence[str], report: Callable[[float], None]) -> dict[str, Tensor]:
        """Layers of one window without its padding, by frames of 20 ms, "input" of 10 ms."""
        modules = {name: self._modules(name) for name in layers if name != "input"}
        inside = [module for names in modules.values() for module in names if module.startswith(ENCODER)]
        across = [module for names in modules.values() for module in names if module.startswith(DECODER)]
        with outputs_of(self.net, inside) as kept:
            encoded = self._encode(window)
        if across:
            said = self._decode(encoded, self.language or self._detect(encoded), marks=False, report=report)
            with outputs_of(self.net, across) as crossed:
                self._read(encoded, said.prompt + said.tokens)
            kept |= crossed
        n = -(-window.n_frames // 2)
        found = {"input": window.features[0, :, : window.n_frames].T}
        for name, sources in modules.items():
            values = [kept[source][0][0] for source in sources]
            if len(values) == 1:
                found[name] = values[0][:n]
                continue
            decoding = name.startswith("cross")
            side = self.net.config.decoder_attention_heads if decoding else self.net.config.encoder_attention_heads
            weights = attention_weights(values[0], values[1], side)
            found[name] = weights[:, :, :n] if decoding else weights[:, :n, :n]
        return found

    def _modules(self, layer: str) -> list[str]:
        """The submodules that a layer is made of: its own, or the queries' and keys' projections."""
        kind, number = layer.rsplit("_", 1)
        n = int(number) - 1
        if kind == "layer":
            last = n == self.net.config.encoder_layers - 1
            return [f"{ENCODER}.layer_norm" if last else f"{ENCODER}.layers.{n}"]
        where = f"{ENCODER}.layers.{n}.self_attn" if kind == "attention" else f"{DECODER}.layers.{n}.encoder_attn"
        return [f"{where}.q_proj", f"{where}.k_proj"]

    def _activation(self, name: str, parts: list[FloatArray]) -> Activation:
        kind = self.card.kinds[name]
        if kind == "attention":
            dims = ("head", "token", "frame") if name.startswith("cross") else ("head", "query", "key")
            return Activation(name, kind, parts[0], dims, _times(parts[0].shape[2], HOP_S))
        values = np.concatenate(parts)
        hop, unit = (MEL_HOP_S, "mel") if name == "input" else (HOP_S, "unit")
        return Activation(name, kind, values, ("frame", unit), _times(len(values), hop))


class _Windows:
    """The windows of a recording, each beginning where `advance` has come to; tells how far the work is."""

    def __init__(self, ears: Ears, clip: Clip, on_progress: OnProgress | None) -> None:
        self.ears = ears
        self.seek, self.n_now = 0, 0
        self._tape: Tape | None = None
        self._head = Tape(resampled_blocks(clip, ears.sr)).read(0, ears.n_samples + 1)
        whole = self._head.size <= ears.n_samples
        measuring, self.report = shares(on_progress, 0.0 if whole else MEASURING, LISTENING)
        if not whole:
            self._loudest, self.n_samples = ears.measure(clip, measuring)
            self.n_frames = self.n_samples // ears.hop
            self._tape = Tape(ears.mirrored(clip))
        else:
            self.n_samples = self._head.size
            self.n_frames = -(-self.n_samples // ears.hop)
        self.several = self.n_frames > ears.n_frames

    def next(self) -> Window | None:
        """The window that begins at `seek`; None when the recording is over."""
        ears = self.ears
        self.n_now = min(ears.n_frames, self.n_frames - self.seek)
        if self.n_now <= 0:
            return None
        if self._tape is None:
            return ears.short(self._head)
        start = self.seek * ears.hop
        y = self._tape.read(start, start + (self.n_now - 1) * ears.hop + ears.n_fft)
        return ears.window(y, self.seek, self.n_now, self._loudest)

    def within(self, share: float) -> None:
        """Tell that this share of the present window is written; finding the words' times is the rest of it."""
        self.report((self.seek + 0.9 * share * self.n_now) / self.n_frames)

    def advance(self, n_frames: int) -> None:
        """Go on to the window that begins `n_frames` mel frames later."""
        self.seek += n_frames
        self.report(self.seek / self.n_frames)


def _times(count: int, hop_s: float) -> Times:
    """Centres of the first `count` frames [s]: the first is centred on the first sample."""
    return np.arange(count, dtype=np.float64) * hop_s
