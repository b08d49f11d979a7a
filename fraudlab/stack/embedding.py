"""Starts this Python inside a JVM, as the TaskManager will: `python -m fraudlab.stack.embedding`. Takes about a second."""

import subprocess
import sys
from pathlib import Path

from fraudlab.stack import flink, java
from fraudlab.stack.layout import Layout

TIMEOUT_S = 60
CAUSES = {
    "loadedLibraryNames": "Python's shared library, libpython3.11.so.1.0, was not found or does not load. Debian and Ubuntu have it "
    "in the package libpython3.11",
    "find_libpython": "the package find_libpython is missing",
    "No module named": "a Python package is missing",
}
"""What pemja, which does the embedding, means by what it says."""


def problem(layout: Layout) -> str | None:
    """Why Python cannot be started inside a JVM here, in words; None if it can."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fraudlab.stack.embedding"],
            env=flink.process_environment(layout),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"Python did not start inside a JVM within {TIMEOUT_S} s"
    if done.returncode == 0:
        return None
    said = (done.stdout + done.stderr).strip()
    meaning = next((words for sign, words in CAUSES.items() if sign in said), None)
    return meaning or f"pemja says: {said.splitlines()[-1] if said else f'nothing (exit status {done.returncode})'}"


def start_inside_a_jvm() -> None:
    """Start and stop it, in this process's environment. Raises py4j's error, with Java's stack trace, if that fails."""
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

    shipped = flink.distribution()
    (flink_python,) = (shipped / "opt").glob("flink-python-*.jar")
    class_path = [str(flink_python), java.class_path(shipped / "lib", "log4j-*")]
    port, token = launch_gateway(
        classpath=":".join(class_path),
        java_path=str(java.find().executable),
        javaopts=list(java.QUICK),
        die_on_exit=True,
        enable_auth=True,
        jarpath=str(_py4j_jar()),
    )
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))
    pemja = gateway.jvm.pemja.core
    settings = pemja.PythonInterpreterConfig.newBuilder().setPythonExec(sys.executable)
    interpreter = pemja.PythonInterpreter(settings.build())
    interpreter.exec("import ssl, pyflink.fn_execution")
    gateway.shutdown()


def _py4j_jar() -> Path:
    return next(Path(sys.prefix).glob("share/py4j/py4j*.jar"))


if __name__ == "__main__":
    start_inside_a_jvm()
