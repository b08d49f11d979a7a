# One image for Flink, the jobs and the services (target fraudlab), and with JupyterLab on top of it for the labs (target lab).
FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home fraudlab
ENV FRAUDLAB_IN_CONTAINER=true FRAUDLAB_HOME=/var/lib/fraudlab PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 TZ=UTC

FROM base AS build
# On arm64 some packages come as source, pemja among them, which wants a JDK.
RUN apt-get update && apt-get install -y --no-install-recommends g++ maven openjdk-17-jdk-headless python3-dev
COPY pom.xml /opt/fraudlab/
COPY fraudlab/__init__.py /opt/fraudlab/fraudlab/
COPY fraudlab/stack/__init__.py fraudlab/stack/artifacts.py fraudlab/stack/errors.py /opt/fraudlab/fraudlab/stack/
# MySQL's and Kafka's own jars are for a stack without containers.
RUN cd /opt/fraudlab \
 && python -c "from pathlib import Path; from fraudlab.stack import artifacts; artifacts.fetch(Path('$FRAUDLAB_HOME'))" \
 && rm -rf "$FRAUDLAB_HOME/jars/mysql" "$FRAUDLAB_HOME/jars/kafka"
COPY requirements/installer.lock requirements/run.lock /opt/fraudlab/requirements/
RUN python -m venv /opt/venv \
 && export JAVA_HOME="$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")" \
 && pip install --no-cache-dir --no-deps --require-hashes -r /opt/fraudlab/requirements/installer.lock \
 && pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation -r /opt/fraudlab/requirements/run.lock

FROM build AS build-lab
COPY requirements/dev.lock /opt/fraudlab/requirements/
RUN pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation -r /opt/fraudlab/requirements/dev.lock

FROM base AS fraudlab
# Flink's JVM loads Python as a shared library: the official image is built with one, Debian's own Python has it in a package.
RUN python -c "import sys, sysconfig; sys.exit(not sysconfig.get_config_var('Py_ENABLE_SHARED'))" \
 || { apt-get update && apt-get install -y --no-install-recommends libpython3.11 && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=fraudlab /var/lib/fraudlab /var/lib/fraudlab
COPY . /opt/fraudlab
RUN pip install --no-cache-dir --no-deps --no-build-isolation --config-settings editable_mode=compat -e /opt/fraudlab -e /opt/fraudlab/data-generator \
 && chown fraudlab /var/lib/fraudlab && mkdir /control && chown fraudlab /control
USER fraudlab
# Volumes take over the owner of the folders that they cover.
RUN fraudlab setup && mkdir -p "$FRAUDLAB_HOME/flink/state" "$FRAUDLAB_HOME/zookeeper/data" "$FRAUDLAB_HOME/inbox" "$HOME/my-labs"
WORKDIR /opt/fraudlab
ENTRYPOINT ["tini", "--"]
CMD ["fraudlab", "--help"]

FROM fraudlab AS lab
COPY --from=build-lab /opt/venv /opt/venv
USER root
RUN pip install --no-cache-dir --no-deps --no-build-isolation --config-settings editable_mode=compat -e /opt/fraudlab -e /opt/fraudlab/data-generator
USER fraudlab
ENV FRAUDLAB_WORK=/home/fraudlab/my-labs
CMD ["fraudlab", "lab", "--no-browser"]
