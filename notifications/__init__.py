"""Who is told what on which channel, delivered at least once and recorded."""
