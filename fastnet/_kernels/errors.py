"""Errors of rules and templates, raised before anything is compiled; and values as messages quote them."""


class RuleError(ValueError):
    """A rule or a template cannot become a kernel; the message has its name, the line and the remedy."""


class DifferentiationError(RuleError):
    """A rule cannot be differentiated; the message has the reason, the line and the remedy."""


def template_error(name: str, problem: str, line: int | None = None) -> RuleError:
    """The error of the template of this name, with the line of its source."""
    where = "" if line is None else f" (line {line} of its source)"
    return RuleError(f"The template {name!r}: {problem}{where}.")


def quoted(value: object, most: int = 200) -> str:
    """A value as an error quotes it: its ``repr``, of which at most so many characters."""
    return cut(repr(value), most)


def cut(text: str, most: int = 200) -> str:
    """The first characters of a text, at most so many."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
