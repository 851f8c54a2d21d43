"""A model's card in words, the same on every page."""

from __future__ import annotations

from components.types import ModelCard
from components.units import format_bytes, format_hz, format_step
from components.widgets.text import plain

_LANGUAGES = (
    "af Afrikaans,am Amharic,ar Arabic,as Assamese,az Azerbaijani,ba Bashkir,be Belarusian,bg Bulgarian,"
    "bn Bengali,bo Tibetan,br Breton,bs Bosnian,ca Catalan,cs Czech,cy Welsh,da Danish,de German,el Greek,"
    "en English,es Spanish,et Estonian,eu Basque,fa Persian,fi Finnish,fo Faroese,fr French,ga Irish,gl Galician,"
    "gu Gujarati,ha Hausa,haw Hawaiian,he Hebrew,hi Hindi,hr Croatian,ht Haitian Creole,hu Hungarian,hy Armenian,"
    "id Indonesian,is Icelandic,it Italian,ja Japanese,jw Javanese,ka Georgian,kk Kazakh,km Khmer,kn Kannada,"
    "ko Korean,la Latin,lb Luxembourgish,ln Lingala,lo Lao,lt Lithuanian,lv Latvian,mg Malagasy,mi Maori,"
    "mk Macedonian,ml Malayalam,mn Mongolian,mr Marathi,ms Malay,mt Maltese,my Burmese,ne Nepali,nl Dutch,"
    "nn Nynorsk,no Norwegian,oc Occitan,pa Punjabi,pl Polish,ps Pashto,pt Portuguese,ro Romanian,ru Russian,"
    "sa Sanskrit,sd Sindhi,si Sinhala,sk Slovak,sl Slovenian,sn Shona,so Somali,sq Albanian,sr Serbian,"
    "su Sundanese,sv Swedish,sw Swahili,ta Tamil,te Telugu,tg Tajik,th Thai,tk Turkmen,tl Tagalog,tr Turkish,"
    "tt Tatar,uk Ukrainian,ur Urdu,uz Uzbek,vi Vietnamese,yi Yiddish,yo Yoruba,zh Chinese"
)
LANGUAGES = dict(entry.split(" ", 1) for entry in _LANGUAGES.split(","))
"""Names of the languages that cards write as ISO 639 codes."""
MANY_LABELS = 24
"""Of more labels than this only the first are named."""
WEIGHTS = {
    "shipped": "made by this project, shipped with Otoscope",
    "package": "from an installed package",
    "download": "downloaded when you ask for it",
}


def language(code: str) -> str:
    """The name of a language; codes that we do not know stay as they are."""
    return LANGUAGES.get(code, code)


def lines(card: ModelCard) -> list[str]:
    """The card as paragraphs of Markdown; what comes from elsewhere is escaped."""
    facts = [
        f"**Trained on** {plain(card.training_data)}",
        f"**Listens at** {format_hz(card.sr)}; each score has heard {card.window_s:.3g} s of sound, a new one comes "
        f"every {format_step(card.hop_s)}.",
        f"**Labels** {plain(_labels(card))}",
        f"**Languages** {plain(', '.join(map(language, card.languages)))}" if card.languages else "",
        f"**Weights** {WEIGHTS[card.source]}, "
        f"{format_bytes(card.size_bytes) if card.size_bytes else 'size not known'}; licence {plain(card.licence)}"
        + (f"; version {plain(card.revision)}" if card.revision else ""),
        f"**Described at** {plain(card.homepage)}" if card.homepage else "",
        "**Mind that**",
        *(f"- {plain(caveat)}" for caveat in card.caveats),
        "**Held out** (on data that it never heard, measured by this project)",
    ]
    facts += [
        f"- {plain(score.metric)}: {score.score:.0%}; "
        + ", ".join(f"{plain(name)} {value:.0%}" for name, value in score.folds)
        + f" :small[{plain(score.protocol)}]"
        for score in card.held_out
    ] or ["- Not measured by this project."]
    if card.published:
        facts += ["**Measured by others**", *(f"- {plain(sentence)}" for sentence in card.published)]
    return [fact for fact in facts if fact]


def _labels(card: ModelCard) -> str:
    if not card.labels:
        none = "none: it gives numbers (an embedding)"
        return none if card.layers else f"{none}, or they are known once its weights are here"
    few = ", ".join(card.labels[:MANY_LABELS])
    more = len(card.labels) - MANY_LABELS
    return few if more <= 0 else f"{few} and {more} more"
