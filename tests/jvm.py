"""The Java process of Spark, ended: `SparkSession.stop` leaves it there."""

import sys


def end_jvm() -> None:
    """End the Java process, if there is one."""
    if "pyspark" not in sys.modules:
        return
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(30)
        SparkContext._gateway = SparkContext._jvm = None
