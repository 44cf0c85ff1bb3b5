"""WhatsApp Cloud API: webhooks in, messages out (developers.facebook.com/docs/whatsapp)."""
