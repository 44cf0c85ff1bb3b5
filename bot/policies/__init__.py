"""Policies of ours beside Rasa's own."""
