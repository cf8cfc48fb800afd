"""The proof of the gates: bad data and turned-down gates are stopped, good data and the whole year are not."""
