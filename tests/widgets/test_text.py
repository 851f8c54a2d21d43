"""Text from files is drawn as text."""

import pytest

from components.widgets.text import plain


@pytest.mark.parametrize(
    "nasty",
    ["*b*", "<b>x</b>", "[a](javascript:alert(1))", ":red[x]", "$x$", "# h", "`c`", "a_b_c", ":material/home:", "&lt;"],
)
def test_nothing_that_markdown_acts_on_is_left_bare(nasty):
    escaped = plain(nasty)
    assert escaped.replace("\\", "") == nasty
    for i, c in enumerate(escaped):
        if c in "*<>[]()_`$#:&":
            assert escaped[i - 1] == "\\"


def test_letters_stay():
    assert plain("Grüße 12, ok") == "Grüße 12, ok"
