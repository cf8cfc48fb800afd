"""Proofs: what the gates and tables promise, tried at length; each ends with an exit code and one line."""
