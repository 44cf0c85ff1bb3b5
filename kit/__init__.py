"""Helpers without business words: clock, ids, logging."""
