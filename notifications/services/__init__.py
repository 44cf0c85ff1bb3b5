"""Transactions on notifications: fan out, claim, record, sweep. Drivers come in through ports."""
