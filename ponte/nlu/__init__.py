"""How well the assistant understands: tables of messages, the measuring run, the numbers."""
