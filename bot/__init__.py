"""What the Rasa process imports: Python 3.10, the standard library and Rasa 3.6.21 only."""
