# A service of a model: docker build -t radogaga . && docker compose up
FROM python:3.11-slim

# torch for CPUs first, or else a build for GPUs of several gigabytes comes.
COPY constraints.txt /build/
RUN pip install --no-cache-dir --constraint /build/constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
RUN pip install --no-cache-dir --constraint /build/constraints.txt '/build[serve]' && rm -rf /build \
    && useradd --uid 10001 --no-create-home radogaga

USER 10001
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/tmp MPLCONFIGDIR=/tmp
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
# Beyond loopback, so that it takes a token.
ENTRYPOINT ["radogaga", "serve", "/models/model", "--host", "0.0.0.0", "--token-file", "/run/secrets/token"]
