"""What Vitrina adds to Airflow: assets, days, retries, alerts, links and the local installation."""
