"""Who gets a ticket, and which ticket is next: pure, every answer with its reasons."""
