"""The loop that makes the bot better: reviewed turns become training examples, behind a gate."""
