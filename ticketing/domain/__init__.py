"""Pure rules: enums, conversation control, ticket state machine. No I/O."""
