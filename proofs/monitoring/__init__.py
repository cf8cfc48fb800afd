"""Proof that monitoring is quiet when all is well, right when it is not, and that no alert is lost on its way."""
