"""How runs of the program end, for the tests of the command line."""


def refused(result, *words: str) -> bool:
    """Whether a run ended as a person's mistake should: status 2, one line that says what is wrong, no traceback."""
    lines = result.stderr.strip().splitlines()
    named = all(word in result.stderr for word in words)
    return result.returncode == 2 and len(lines) == 1 and lines[0].startswith("radogaga: Expected") and named
