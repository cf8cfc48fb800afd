"""Alerts are facts first: written in the ledger beside the result they speak of, delivered by a task of its own."""
