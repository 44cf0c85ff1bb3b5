"""When a person must take over, and why: the pure decision engine.

Only the standard library; no clock, no I/O, no randomness, no logging. The one exception is
`handoff.policy_file`, which reads YAML. `handoff.decide.decide` is the entry point.
"""
