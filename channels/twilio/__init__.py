"""SMS by Twilio: the client, the signature of webhooks, and what webhooks say."""
