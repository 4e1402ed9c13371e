"""A fitted model as a service over HTTP."""
