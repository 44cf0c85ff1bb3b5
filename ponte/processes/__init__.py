"""The only place that builds objects and starts loops."""
