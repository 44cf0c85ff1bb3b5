"""Server-rendered pages for agents over the same services."""
