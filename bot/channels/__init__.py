"""How a turn reaches Rasa and its answer leaves it."""
