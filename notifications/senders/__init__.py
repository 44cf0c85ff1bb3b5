"""One provider a file. A sender sends once and raises `SendFailedError`; it never retries."""
