"""The paper's experiments: a configuration in, a result out."""
