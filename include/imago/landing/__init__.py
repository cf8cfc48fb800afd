"""Landing: the flights of 2013 replayed as raw daily Parquet files, as the airline would have delivered them."""
