"""A local stand-in for Meta's WhatsApp: Graph API, webhooks, customers and a chat page.

It is a process of its own with a store of its own; nothing in it is part of Ponte's truth. It
checks what it is sent with its own code and numbers, so that a mistake in `channels` cannot hide.
"""
