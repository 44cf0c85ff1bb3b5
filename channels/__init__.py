"""Channel adapters: a provider's payload on one side, the one message model on the other."""
