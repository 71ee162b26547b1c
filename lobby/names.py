"""Names of people: their form, the characters that are refused, and which names look alike. Pure.

    text -> clean_name (NFKC, length, printable) -> name_key, the form in which names are compared
                                                 -> check_new_name, for a name that is given to a player

Names look alike when their keys are equal: Cyrillic, Greek and Armenian letters count as the Latin letters that they
look like (a small table after UTS 39, "confusables"). A key of a name of ASCII letters is its lower-case form. A new
name has letters of one script, or of a usual mix, and no invisible characters. A name that was registered under other
rules can still log in: only check_new_name refuses it.
"""

from __future__ import annotations

import unicodedata

from tussle.lobby.errors import Refused

__all__ = ["RAW_NAME_LENGTH", "check_new_name", "clean_name", "name_key"]

NAME_LENGTH = range(2, 25)
RAW_NAME_LENGTH = 4 * NAME_LENGTH.stop
"""Characters of a name before it is normalised. Normalisation may compose several characters into one, and its time
grows with the square of a run of combining marks."""

_LOOKALIKES = {
    ord(letter): latin
    for letters, latins in (
        # Cyrillic, by the look of either case: the capital of \u0432 looks like B
        (
            "\u0430\u0432\u0435\u0437\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u044c",
            "abe3kmhopctyxb",
        ),
        ("\u0433\u043f\u0455\u0456\u0458\u04bb\u04cf\u0501\u051b\u051d\u0475\u04af", "rnsijhldqwvy"),
        # Greek
        ("\u03b1\u03b2\u03b3\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd", "abyezhikmn"),
        ("\u03bf\u03c1\u03c3\u03c4\u03c5\u03c7\u03c9\u03f2\u03f3", "opotyxwcj"),
        # Armenian
        ("\u0585\u0578\u057d\u0570\u0575\u0566\u0581", "onuhjqg"),
        # Latin beyond ASCII
        ("\u0131\u0251\u0261\u026a\u0269\u1d0f\u1d1c\u1d20\u1d21\u1d22", "iagiiouvwz"),
    )
    for letter, latin in zip(letters, latins, strict=True)
}
"""Letter -> the Latin letter that it looks like."""

_INVISIBLE = frozenset(
    (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    )
)
"""Printable characters that are invisible: the default-ignorable ones (DerivedCoreProperties.txt) and the empty Braille
pattern. Format and control characters are not printable."""

_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"
_SKIN_TONES = "".join(map(chr, range(0x1F3FB, 0x1F400)))

_SCRIPTS = frozenset(
    [
        "LATIN",
        "CYRILLIC",
        "GREEK",
        "ARMENIAN",
        "HEBREW",
        "ARABIC",
        "GEORGIAN",
        "ETHIOPIC",
        "DEVANAGARI",
        "BENGALI",
        "GURMUKHI",
        "GUJARATI",
        "ORIYA",
        "TAMIL",
        "TELUGU",
        "KANNADA",
        "MALAYALAM",
        "SINHALA",
        "THAI",
        "LAO",
        "TIBETAN",
        "MYANMAR",
        "KHMER",
        "HANGUL",
        "HIRAGANA",
        "KATAKANA",
        "BOPOMOFO",
        "CJK",
        "THAANA",
    ]
)
"""Scripts of names: those in everyday use (UAX 31, "recommended scripts")."""

_MIXES = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)
"""Scripts that one name may mix (UTS 39, "highly restrictive")."""


def clean_name(name: str) -> str:
    """The name as it is stored. Raises Refused: 2 to 24 printable characters, single inner spaces, no '#'."""
    if len(name) <= RAW_NAME_LENGTH:
        name = " ".join(unicodedata.normalize("NFKC", name).split(" ")).strip()
    bad = "#" in name or not _without_joins(name).isprintable() or "  " in name
    if len(name) not in NAME_LENGTH or bad:
        raise Refused("a name has 2 to 24 printable characters and no '#'", code="bad_name", field="name")
    return name


def name_key(name: str) -> str:
    """The form in which clean names are compared: equal for names that look alike."""
    return name.casefold().translate(_LOOKALIKES).replace(_EMOJI_STYLE, "")


def check_new_name(name: str) -> str:
    """The clean name itself. Raises Refused (bad_name) for invisible characters or letters of several scripts."""
    if any(ord(character) in _INVISIBLE for character in _without_joins(name)):
        raise Refused("the name has an invisible character", code="bad_name", field="name")
    scripts = {_script(character) for character in name if unicodedata.category(character)[0] == "L"}
    if not scripts <= _SCRIPTS:
        raise Refused(
            "the name has letters of a script that is not in everyday use", code="bad_name", field="name"
        )
    if len(scripts) > 1 and not any(scripts <= mix for mix in _MIXES):
        raise Refused("the letters of a name belong to one script", code="bad_name", field="name")
    return name


def _without_joins(name: str) -> str:
    """The name without the invisible characters that belong to emoji: a joiner between two of them (UTS 51, emoji ZWJ
    sequence), and the selector of their style after one."""
    kept = []
    for at, character in enumerate(name):
        before = name[:at].rstrip(_EMOJI_STYLE + _SKIN_TONES)[-1:]
        after = name[at + 1 : at + 2]
        joins = character == _JOINER and _is_symbol(before) and _is_symbol(after)
        if not joins and not (character == _EMOJI_STYLE and _is_symbol(before)):
            kept.append(character)
    return "".join(kept)


def _is_symbol(character: str) -> bool:
    return character != "" and unicodedata.category(character) == "So"


def _script(letter: str) -> str:
    """The script of a letter: the first word of its name in Unicode."""
    return unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0]
