"""rasa-sdk custom actions: adapters only."""
