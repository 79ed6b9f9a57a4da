"""What is wrong with a rule, said before anything is compiled."""


class RuleError(ValueError):
    """A rule cannot become a kernel: says which, where, and what to write instead."""


class DifferentiationError(RuleError):
    """A rule cannot be differentiated: says what stands in the way, in which line, and what to do."""
