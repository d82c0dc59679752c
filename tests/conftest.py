"""What every test relies on: property tests that give the same answer twice."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# `make test` depends neither on luck nor on the machine's load; `--hypothesis-profile=explore` looks further.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("steady")
