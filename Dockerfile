# The image for Flink, the jobs and the services; with REQUIREMENTS=dev also for the labs, with JupyterLab and what runs the solutions.
FROM python:3.11.14-slim-bookworm AS base
# Flink's JVM loads Python as a shared library: the official image has it, Debian's own Python has it in a package.
RUN apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless tini \
 && { ldconfig -p | grep -q libpython3.11 || apt-get install -y --no-install-recommends libpython3.11; } \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home fraudlab
ENV FRAUDLAB_IN_CONTAINER=true FRAUDLAB_HOME=/var/lib/fraudlab PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 TZ=UTC

FROM base AS build
# On arm64 apache-flink comes as source, which has C extensions.
RUN apt-get update && apt-get install -y --no-install-recommends g++ openjdk-17-jdk-headless python3-dev
COPY requirements/installer.lock requirements/jars.lock /opt/fraudlab/requirements/
RUN python -m venv /opt/venv && pip install --no-cache-dir --no-deps --require-hashes -r /opt/fraudlab/requirements/installer.lock
COPY fraudlab/__init__.py fraudlab/errors.py /opt/fraudlab/fraudlab/
COPY fraudlab/stack/__init__.py /opt/fraudlab/fraudlab/stack/
COPY fraudlab/stack/provision /opt/fraudlab/fraudlab/stack/provision
# MySQL's and Kafka's own jars are for a stack without containers.
RUN cd /opt/fraudlab && python -m fraudlab.stack.provision.jars "$FRAUDLAB_HOME" \
 && rm -rf "$FRAUDLAB_HOME/jars/mysql" "$FRAUDLAB_HOME/jars/kafka"
ARG REQUIREMENTS=run
COPY requirements/${REQUIREMENTS}.lock /opt/fraudlab/requirements/
RUN export JAVA_HOME="$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")" \
 && pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation -r "/opt/fraudlab/requirements/$REQUIREMENTS.lock"

FROM base
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chown=fraudlab /var/lib/fraudlab /var/lib/fraudlab
COPY . /opt/fraudlab
RUN pip install --no-cache-dir --no-deps --no-build-isolation --config-settings editable_mode=compat \
    -e /opt/fraudlab -e /opt/fraudlab/data-generator \
 && chown fraudlab /var/lib/fraudlab
USER fraudlab
# Volumes take over the owner of the folders that they cover.
RUN fraudlab setup && mkdir -p "$FRAUDLAB_HOME/flink/state" "$FRAUDLAB_HOME/flink-keys" "$FRAUDLAB_HOME/zookeeper/data" "$FRAUDLAB_HOME/inbox" "$FRAUDLAB_HOME/secrets" "$HOME/my-labs"
WORKDIR /opt/fraudlab
ENTRYPOINT ["tini", "--"]
CMD ["fraudlab", "--help"]
