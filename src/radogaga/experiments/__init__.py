"""The paper's experiments: config, plan, run, report."""
