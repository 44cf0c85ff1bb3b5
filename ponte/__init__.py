"""Settings, command line, processes and embedded engines."""
