"""Tokens that Envoy judges itself, so that requests with them are not asked about.

Envoy only ever says yes. `verified` checks signatures, `token` whether the authorizer would accept the token, `grant`
whether it would let it pass on this route, and `passage` makes of it the headers that the authorizer would set. What is
missing on this way, be it a scope or a claim that Envoy reads otherwise, is a question for the authorizer: so both give
the same answers, and there is one place that refuses. All these filters are off until a route turns them on.
"""
