"""The proof of batch scoring: exactly once whatever happens, as it was, explained, and never from damaged files."""
