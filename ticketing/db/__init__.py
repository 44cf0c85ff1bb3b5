"""Tables and engine. The only place that knows the schema."""
