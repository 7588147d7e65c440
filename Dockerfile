# Wattspan: `docker build .`, or compose.yaml. Runs as nobody in particular on a read-only file system; /data is its own.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# What runs (the core and the `server` extra), in the versions that were tested, each by its hash.
COPY requirements/run.txt requirements/dev.txt requirements/
RUN python -m venv /opt/wattspan \
    && /opt/wattspan/bin/pip install --require-hashes --requirement requirements/run.txt
# What builds, in a place that is thrown away.
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/dev.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY src src
RUN /opt/build/bin/python -m build --wheel --no-isolation --outdir /dist . \
    && /opt/wattspan/bin/pip install --no-deps "$(echo /dist/*.whl)[server]" \
    && /opt/wattspan/bin/pip check

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="Wattspan" \
    org.opencontainers.image.description="An OCPP central system whose every message is an OpenTelemetry span" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 wattspan \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin wattspan \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/wattspan /opt/wattspan
ENV PATH=/opt/wattspan/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WATTSPAN_HOST=0.0.0.0 \
    WATTSPAN_API_HOST=0.0.0.0 \
    WATTSPAN_METRICS_HOST=0.0.0.0 \
    WATTSPAN_DATABASE=/data/wattspan.db \
    WATTSPAN_LOG_FORMAT=json
WORKDIR /data
USER 10001:10001
EXPOSE 9000 9090 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/healthz', timeout=4)"]
ENTRYPOINT ["wattspan"]
CMD ["serve"]
