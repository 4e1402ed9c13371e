"""The program ``radogaga``."""
