"""SLA clocks, derived from a ticket's history: the same history always gives the same clocks.

`history` (what happened) and `rules` (what was promised) go into `clocks.evaluate`.
"""
