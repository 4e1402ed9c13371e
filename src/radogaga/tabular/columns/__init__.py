"""Columns as people have them, mixed types and missing values included, as numbers and back."""
