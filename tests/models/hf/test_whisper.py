from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from transformers import AutoFeatureExtractor, WhisperForConditionalGeneration, pipeline
from transformers.generation import GenerateEncoderDecoderOutput

from components.audio.transform import resample
from components.errors import Cancelled, ModelError
from components.models import hf
from components.models.hf import whisper
from components.types import Clip, ModelCard, Segment
from tests.tiny_whisper_clap import peak_bytes
from tests.tiny_whisper_clap import whisper as make

CARD = ModelCard(
    id="tiny-whisper",
    title="Tiny Whisper",
    summary="Writes gibberish.",
    family="transformer",
    task="speech to text",
    labels=(),
    sr=16000,
    window_s=30.0,
    hop_s=0.02,
    layers=(),
    emits=(),
    source="download",
    size_bytes=0,
    licence="none",
    citation="none",
    training_data="none",
    held_out=(),
    caveats=("It writes gibberish.",),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def model(folder: Path) -> whisper.Whisper:
    torch.set_num_threads(1)
    return whisper.load(folder, CARD)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    """What transformers makes of the same files, greedily."""
    return pipeline("automatic-speech-recognition", model=str(folder), generate_kwargs={"num_beams": 1})


def clip_of(y: np.ndarray, sr: int = 16000) -> Clip:
    return Clip.from_array("clip", y, sr)


def voice(duration_s: float) -> np.ndarray:
    """Babble whose pitch and level wander from second to second, so that no window is like another."""
    rng = np.random.default_rng(3)
    t = np.arange(round(duration_s * 16000)) / 16000
    seconds = np.arange(int(duration_s) + 2)
    pitch = np.interp(t, seconds, rng.uniform(90, 400, seconds.size))
    level = np.interp(t, seconds, rng.uniform(0, 0.3, seconds.size))
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    return (level * sum(np.sin(k * phase) / k for k in range(1, 12)) / 2).astype(np.float32)


def text_of(theirs: Any, y: np.ndarray, **settings: Any) -> str:
    return str(theirs(y.copy(), generate_kwargs={"num_beams": 1, **settings})["text"]).strip()


def test_a_folder_is_known_for_what_it_is(folder: Path, model: whisper.Whisper) -> None:
    found = hf.load(folder, hf.describe(folder, id="a/b"))
    assert isinstance(found, whisper.Whisper)
    assert (found.card.layers, found.card.labels) == (model.card.layers, model.card.labels)


def test_card_is_completed_from_the_files(model: whisper.Whisper) -> None:
    card = model.card
    assert (card.labels, card.sr, card.window_s, card.hop_s) == (("word",), 16000, 30.0, 0.02)
    assert card.layers[:3] == ("input", "layer_1", "layer_2")
    assert card.layers[3:] == ("attention_1", "attention_2", "cross_attention_1", "cross_attention_2")
    assert card.caveats == ("It writes gibberish.", whisper.NOTE)


@pytest.mark.parametrize("duration_s", [0.4, 30.0, 30.005, 75.0])
def test_text_is_that_of_the_pipeline(model: whisper.Whisper, theirs: Any, duration_s: float) -> None:
    y = voice(duration_s)
    found = model.predict(clip_of(y))
    assert found.text == text_of(theirs, y)
    assert found.text
    assert "".join(word.label for word in found.segments) == found.text.replace(" ", "")


@pytest.mark.data
def test_text_is_that_of_the_pipeline_on_speech(model: whisper.Whisper, theirs: Any, data_dir: Path) -> None:
    """Three readers of LibriSpeech one after another, 43 s."""
    read = [soundfile.read(file, dtype="float32") for file in sorted((data_dir / "librosa").glob("*-0000.ogg"))]
    clip = Clip.from_array("readers", np.concatenate([y for y, _ in read]), read[0][1])
    assert clip.duration > 30
    found = model.predict(clip)
    assert found.text == text_of(theirs, resample(clip, 16000))
    assert found.segments and found.segments[-1].end <= clip.duration


def test_language_is_found_out_unless_the_card_says_it(folder: Path, model: whisper.Whisper, theirs: Any) -> None:
    y = voice(8)
    texts = set()
    for language in ("English", "German", "Chinese"):
        known = whisper.load(folder, replace(CARD, languages=(language,)))
        texts.add(known.predict(clip_of(y)).text)
        assert known.predict(clip_of(y)).text == text_of(theirs, y, language=language.lower(), task="transcribe")
    assert len(texts) > 1
    assert model.predict(clip_of(y)).text in texts
    assert whisper.load(folder, replace(CARD, languages=("English", "German"))).language == ""
    assert whisper.load(folder, replace(CARD, languages=("Klingon",))).language == ""


def test_english_only_models_too(tmp_path: Path) -> None:
    folder = make(tmp_path, english_only=True, seed=1)
    english = whisper.load(folder, replace(CARD, languages=("English",)))
    theirs = pipeline("automatic-speech-recognition", model=str(folder))
    for y in (voice(5), voice(40)):
        assert english.predict(clip_of(y)).text == text_of(theirs, y)


def test_checkpoints_without_time_marks_and_known_heads_write_long_recordings_too(folder: Path) -> None:
    loaded = whisper.load(folder, CARD)
    for name in ("no_timestamps_token_id", "alignment_heads"):
        delattr(loaded.net.generation_config, name)
    old = whisper.Whisper(loaded.card, loaded.net, loaded.tokenizer, loaded.ears)
    found = old.predict(clip_of(voice(40)))
    assert found.text
    assert {word.start >= 30 for word in found.segments} == {True, False}


def test_words_are_in_order_within_the_clip_and_scores_are_theirs(model: whisper.Whisper) -> None:
    found = model.predict(clip_of(voice(75)))
    assert len(found.segments) > 3
    starts, ends = np.array([(word.start, word.end) for word in found.segments]).T
    assert (np.diff(starts) >= 0).all() and (starts <= ends).all() and (ends[:-1] <= starts[1:] + 1e-6).all()
    assert ends[-1] <= 75
    assert all(0 < word.score <= 1 for word in found.segments)
    for word in found.segments:
        if word.end - word.start > 0.05:
            middle = found.scores[np.abs(found.times - (word.start + word.end) / 2).argmin(), 0]
            assert middle == pytest.approx(word.score)
    spoken = sum(ends - starts) / 75
    assert (found.scores > 0).mean() == pytest.approx(spoken, abs=0.02)


def test_frame_scores_are_zero_between_words_and_short_words_have_a_frame() -> None:
    words = [Segment(0.02, 0.06, "a", 0.5), Segment(0.1, 0.1, "b", 0.7), Segment(0.14, 0.3, "c", 0.9)]
    assert whisper.frame_scores(words, 9)[:, 0] == pytest.approx([0, 0.5, 0.5, 0, 0, 0.7, 0, 0.9, 0.9])


def test_times_of_tokens_are_those_of_the_library_for_the_same_attention(folder: Path, model: whisper.Whisper) -> None:
    """Ours come from one pass over prompt and text, by our own attention; theirs from theirs, by their own warping."""
    window = model.ears.short(voice(12))
    encoded = model._encode(window)
    said = model._decode(encoded, "en", marks=False, report=lambda share: None)
    begins, _ = model._align(encoded, said.prompt, said.tokens, window.n_frames)

    eager = WhisperForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.tensor([said.prompt + said.tokens])
    with torch.no_grad():
        crossed = eager.model.decoder(ids, encoder_hidden_states=encoded.clone(), output_attentions=True)
    outputs = GenerateEncoderDecoderOutput(sequences=ids, cross_attentions=[crossed.cross_attentions])
    heads = eager.generation_config.alignment_heads
    skipped = len(said.prompt) - 1
    theirs = eager._extract_token_timestamps(outputs, heads, num_frames=[1200], num_input_ids=skipped)[0]
    assert len(begins) == len(said.tokens) + 1 > 5
    assert len(set(begins)) > 3
    assert begins == pytest.approx(theirs[skipped:-1].numpy(), abs=1e-6)


def test_a_path_through_clear_attention_is_found() -> None:
    """Three tokens that look at 0.0-0.4, 0.4-1.0 and 1.0-1.2 s."""
    weights = torch.full((2, 3, 60), 0.01)
    for row, (first, stop) in enumerate([(0, 20), (20, 50), (50, 60)]):
        weights[:, row, first:stop] = 1.0
    assert whisper.jump_times(weights, 7) == pytest.approx([0.0, 0.4, 1.0])


@pytest.mark.parametrize("seed", range(30))
def test_the_next_window_begins_where_the_library_lets_it_begin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks = np.sort(rng.integers(1, 1500, 12))
    tokens = [int(rng.choice([rng.integers(0, 100), 200 + mark])) for mark in marks]
    segments, offset = WhisperForConditionalGeneration._retrieve_segment(
        seek_sequence=torch.tensor(tokens),
        seek_outputs=[None],
        time_offset=torch.zeros(1, dtype=torch.float64),
        timestamp_begin=200,
        seek_num_frames=torch.tensor([2900]),
        time_precision=0.02,
        time_precision_features=0.01,
        input_stride=2,
        prev_idx=0,
        idx=0,
        return_token_timestamps=False,
        decoder_input_ids=torch.zeros(1, 4),
    )
    kept, advance = whisper.kept_part(tokens, 200, 2900)
    assert kept == torch.cat([segment["tokens"] for segment in segments]).tolist()
    assert advance == int(offset)


def test_a_window_without_sound_is_not_listened_to(model: whisper.Whisper) -> None:
    dither = np.random.default_rng(0).integers(-1, 2, 40 * 16000) / 32768
    for y in (np.zeros(16000), np.zeros(50 * 16000), dither):
        found = model.predict(clip_of(y))
        assert (found.text, found.segments) == ("", ())
        assert not found.scores.any()
    late = model.predict(clip_of(np.concatenate([np.zeros(32 * 16000, np.float32), voice(20)])))
    assert late.segments and all(word.start >= 30 for word in late.segments)


def test_what_the_model_itself_holds_for_no_speech_is_left_out(folder: Path) -> None:
    """The row of <|nospeech|> is turned to where the decoder looks at its start, so that nothing else is likely."""
    deaf = whisper.load(folder, CARD)
    clip = clip_of(voice(5))
    assert deaf.predict(clip).text
    encoded = deaf._encode(deaf.ears.short(clip.y))
    said = deaf._decode(encoded, "en", marks=False, report=lambda share: None)
    assert said.logprob < whisper.SURE
    state = deaf._read(encoded, said.prompt[:1])[0]
    weight = deaf.net.proj_out.weight
    weight[deaf._no_marks - 1] = 30 * state / state.norm()
    found = deaf.predict(clip)
    assert (found.text, found.segments) == ("", ())
    assert not deaf._unspoken(encoded, replace(said, logprob=-0.5))  # what it is sure of stays


def test_work_stops_between_tokens(model: whisper.Whisper) -> None:
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        if len(shares) == 7:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        model.predict(clip_of(voice(5)), stop)
    assert len(shares) == 7 and 0 < shares[-1] < 0.5
    assert shares == sorted(shares)


def test_progress_rises_through_a_long_recording(model: whisper.Whisper) -> None:
    shares: list[float] = []
    model.predict(clip_of(voice(70)), shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len(shares) > 30


@pytest.mark.parametrize("duration_s", [3.0, 64.003])
def test_input_is_that_of_the_feature_extractor(model: whisper.Whisper, folder: Path, duration_s: float) -> None:
    y = voice(duration_s)
    found = model.inspect(clip_of(y), ["input"])["input"]
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    settings = {"truncation": False, "padding": "longest"} if duration_s > 30 else {}
    theirs = extractor(y, sampling_rate=16000, return_tensors="np", **settings)["input_features"][0].T
    assert found.values.shape == (round(duration_s * 100), 16)
    assert found.values == pytest.approx(theirs[: len(found.values)], abs=1e-5)
    assert found.times == pytest.approx(np.arange(len(found.values)) / 100)


def test_hidden_states_and_attention_are_those_of_a_plain_forward_pass(model: whisper.Whisper, folder: Path) -> None:
    y = voice(4.1)
    found = model.inspect(clip_of(y), model.card.layers)
    eager = WhisperForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    features = AutoFeatureExtractor.from_pretrained(folder)(y, sampling_rate=16000, return_tensors="pt").input_features
    n = 205
    n_tokens = found["cross_attention_1"].values.shape[1]
    window = model.ears.short(y)
    said = model._decode(
        model._encode(window), model._detect(model._encode(window)), marks=False, report=lambda s: None
    )
    ids = torch.tensor([said.prompt + said.tokens])
    assert ids.shape == (1, n_tokens)
    with torch.no_grad():
        theirs = eager(features, decoder_input_ids=ids, output_attentions=True, output_hidden_states=True)
    for k in (1, 2):
        state = theirs.encoder_hidden_states[k][0, :n].numpy()
        assert found[f"layer_{k}"].values == pytest.approx(state, abs=1e-5)
        assert found[f"layer_{k}"].times == pytest.approx(np.arange(n) * 0.02)
        inner = theirs.encoder_attentions[k - 1][0, :, :n, :n].numpy()
        assert found[f"attention_{k}"].values == pytest.approx(inner, abs=1e-5)
        across = theirs.cross_attentions[k - 1][0, :, :, :n].numpy()
        assert found[f"cross_attention_{k}"].values == pytest.approx(across, abs=1e-5)
        assert found[f"cross_attention_{k}"].dims == ("head", "token", "frame")


def test_long_sections_have_states_but_no_attention(model: whisper.Whisper) -> None:
    clip = clip_of(voice(45))
    states = model.inspect(clip, ["layer_1"])["layer_1"]
    assert states.values.shape == (2250, 32)
    assert states.times is not None and states.times[-1] == pytest.approx(44.98)
    with pytest.raises(ModelError, match=r"30 s at once.*45 s long.*\.$"):
        model.inspect(clip, ["layer_1", "attention_1"])


def test_memory_does_not_grow_with_the_recording(
    model: whisper.Whisper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.net.generation_config, "max_new_tokens", 3)
    short, long = (peak_bytes(model, minutes, tmp_path / f"{minutes}.f32") for minutes in (1, 3))
    assert long - short < 2_500_000  # two minutes of samples would be 7.7 MB
