"""A person's data in all stores: those of `ticketing` and those around it."""
