"""The demonstration: conversations from files, played against the running system."""
