"""Tables in files: CSV, Parquet, Arrow."""
