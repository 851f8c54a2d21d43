"""Text that comes from files, drawn as text."""

MARKDOWN = frozenset("\\`*_{}[]()<>#+-.!|~$:&^=")


def plain(text: str) -> str:
    """`text` with everything escaped that Streamlit's Markdown would act on (emphasis, links, HTML, maths, icons)."""
    return "".join(f"\\{c}" if c in MARKDOWN else c for c in text)
