"""Model and business metrics of days whose outcome is known."""
