"""What the DAGs do. Nothing here imports Airflow; time enters only as `day`, chance only as `seed`."""
