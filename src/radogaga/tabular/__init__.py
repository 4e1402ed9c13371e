"""The product for tables: a fitted `TabularModel`, and the scikit-learn estimator that builds it."""
