"""What is wrong with a rule or a template, said before anything is compiled."""


class RuleError(ValueError):
    """A rule or a template cannot become a kernel: says which, where, and what to write instead."""


class DifferentiationError(RuleError):
    """A rule cannot be differentiated: says what stands in the way, in which line, and what to do."""


def template_error(name: str, problem: str, line: int | None = None) -> RuleError:
    """What is wrong with the template of this name, in which line of its source."""
    where = "" if line is None else f" (line {line} of its source)"
    return RuleError(f"The template {name!r}: {problem}{where}.")
