"""What the DAGs do. Nothing here imports Airflow; time enters as `day`, chance as `seed`."""
