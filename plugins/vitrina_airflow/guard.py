"""The mode without a login is for one machine: refused where others could reach it."""

from __future__ import annotations

from airflow.configuration import conf

OWN_ADDRESSES = ("127.0.0.1", "::1", "localhost")


def refuse_open_login() -> None:
    """End the process when everybody is an administrator and the API listens to the network.

    Raises:
        SystemExit: the one exception that Airflow's plugin loader lets through.
    """
    host = conf.get("api", "host")
    if conf.getboolean("core", "simple_auth_manager_all_admins") and host not in OWN_ADDRESSES:
        raise SystemExit(
            f"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS asks for no login, and"
            f" AIRFLOW__API__HOST={host} lets others in: refused. Bind 127.0.0.1, or set up a login"
        )
