"""The one error that a person's input can cause, and its kind for what cannot be written. It imports nothing."""


class InputError(ValueError):
    """Input that cannot be used: the message says what was expected, what came and what to do."""


class WriteError(InputError):
    """What is to be written cannot be: the disk is full, or the place is not ours to write to."""
