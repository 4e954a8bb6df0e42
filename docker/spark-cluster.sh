#!/usr/bin/env bash
# A Spark standalone cluster of plain processes on 127.0.0.1, a master and two workers of one core;
# it ends with Ctrl-C. Workers find a lake in a bucket by the AWS_* variables given here.
#   PATH=$PWD/.venv/bin:$PATH docker/spark-cluster.sh
#   VITRINA_ENGINE=spark VITRINA_SPARK_MASTER=spark://127.0.0.1:7077 python -m tasks run build_features --day DAY
set -euo pipefail

host=127.0.0.1
port=${SPARK_PORT:-7077}
folder=$(python -c 'import pyspark; print(next(iter(pyspark.__path__)))')
export SPARK_LOCAL_IP=$host PYSPARK_PYTHON=${PYSPARK_PYTHON:-$(command -v python)}

launch() {
  "$folder/bin/spark-class" "org.apache.spark.deploy.$1" --host "$host" "${@:2}" &
}

trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'exit 143' TERM INT

launch master.Master --port "$port" --webui-port "${SPARK_WEB_PORT:-8081}"
for _ in 1 2; do
  launch worker.Worker --webui-port 0 -c 1 -m "${SPARK_WORKER_MEMORY:-2g}" "spark://$host:$port"
done
wait
