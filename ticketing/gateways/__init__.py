"""Adapters to Rasa and to the channels."""
