"""How others find the tables: their definitions for Athena and Redshift, and the Glue Data Catalog that both read."""
