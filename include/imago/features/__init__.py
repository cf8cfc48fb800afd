"""Write, audit, publish: the days of features and outcomes."""
