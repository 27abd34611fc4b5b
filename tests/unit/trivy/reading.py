"""How Trivy reads a list from a variable, from its ``pkg/flag/options.go`` and what it uses."""

from __future__ import annotations

# What Go's ``unicode.IsSpace`` says yes to.
_GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


def as_trivy_reads(text: str) -> list[str]:
    """Items at commas, as they are; without a comma the words between blanks; none of an empty variable."""
    if "," in text:
        return text.split(",")
    for space in _GO_SPACE:
        text = text.replace(space, " ")
    return [word for word in text.split(" ") if word]
