"""Pure parts: removing personal data, similarity, what a record teaches, comparing two models."""
