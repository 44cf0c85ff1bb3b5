"""What we add to Rasa's own language understanding."""
