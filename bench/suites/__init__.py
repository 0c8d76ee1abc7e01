"""Every suite by its name; another one is another module and another line."""

from bench.suite import Suite
from bench.suites import gateway

SUITES: dict[str, Suite] = {suite.name: suite for suite in (gateway.SUITE,)}
