"""The fair fight tried at length: the rule, its tests, the ledger, hostile models, chance and power."""
