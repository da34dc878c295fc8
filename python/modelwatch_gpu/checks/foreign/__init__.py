"""Files of other monitoring packages as expectations."""
