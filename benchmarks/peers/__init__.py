"""Other job systems doing the same work, set up as their users do, and tuned."""
