"""Settings that hold for all tests."""

import os
import sys

from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples on every run of a commit: a failure there is one of the commit's, and can be repeated.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# Spark takes the first `python3` of the path otherwise, be it that of another environment.
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
