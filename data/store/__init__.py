"""What has been imported: Parquet partitions and the one manifest that says which of them count."""
