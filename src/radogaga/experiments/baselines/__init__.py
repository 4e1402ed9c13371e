"""Other methods' objectives on the same parts."""
