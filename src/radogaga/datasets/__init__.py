"""The experiments' data: files and where they come from, toy distributions, anomaly sets, generated pictures."""
