"""Modules whose extra is not installed are not collected for their examples."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("pyod") else ["src/radogaga/integrations/pyod.py"]
collect_ignore += [] if importlib.util.find_spec("fastapi") else ["src/radogaga/integrations/server"]
