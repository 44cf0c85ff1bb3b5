"""Pure rules: recipients, texts, retry plan."""
