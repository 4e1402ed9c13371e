"""The one error that a person's input can cause. It imports nothing."""


class InputError(ValueError):
    """Input that cannot be used: the message says what was expected, what came and what to do."""
