"""Text that comes from files, drawn as text."""

from typing import NoReturn

import streamlit as st

from components.errors import OtoscopeError

MARKDOWN = frozenset("\\`*_{}[]()<>#+-.!|~$:&^=")


def plain(text: str) -> str:
    """`text` with everything escaped that Streamlit's Markdown would act on (emphasis, links, HTML, maths, icons)."""
    return "".join(f"\\{c}" if c in MARKDOWN else c for c in text)


def refuse(error: OtoscopeError, *, then: str | None = None) -> NoReturn:
    """Show an error's sentence, and what to do `then`; the page ends here."""
    st.error(plain(str(error)), icon=":material/error:")
    if then is not None:
        st.info(then)
    st.stop()
