"""Other libraries and services: each knows `TabularModel` and nothing beneath it."""
