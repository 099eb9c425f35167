# The relay alone: one process, no build tools, nothing written outside /data.
FROM python:3.11-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

# A named volume takes over the owner of the folder it is mounted on.
RUN install -d -o 10001 -g 10001 -m 0700 /data

WORKDIR /app
COPY requirements/core.txt requirements/core.txt
RUN pip install --require-hashes -r requirements/core.txt

COPY relay relay
COPY static static
COPY templates templates
# A read-only file system keeps no bytecode, so it is made here.
RUN python -m compileall -q relay

VOLUME /data
USER 10001:10001

ENV RELAY_CONFIG=/etc/counterfoil/relay.toml \
    RELAY_HOST=0.0.0.0 \
    RELAY_STORE_PATH=/data/counterfoil.db \
    RELAY_LOG_FORMAT=json
EXPOSE 8300
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('RELAY_PORT', '8300') + '/healthz', timeout=4)"]

ENTRYPOINT ["python", "-m", "relay"]
CMD ["serve"]
