"""These files run in env `bot`, started by `tests/bot/test_in_rasa.py`."""

collect_ignore_glob = ["test_*.py"]
