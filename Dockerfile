# syntax=docker/dockerfile:1
# The gateway as an image: docker build -t auth-gateway .
# With a PostgreSQL inside, for a single machine: docker build --build-arg EXTRAS=embedded -t auth-gateway .

FROM python:3.11-slim-bookworm AS build
ARG EXTRAS=
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY sql sql
COPY gateway gateway
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check ".${EXTRAS:+[$EXTRAS]}" \
 && /opt/gateway/bin/pip uninstall --yes --quiet pip setuptools

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="auth-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
# A number, so that an orchestrator can see that it is not root without reading /etc/passwd.
RUN groupadd --gid 10001 gateway \
 && useradd --uid 10001 --gid 10001 --home-dir /var/lib/gateway --no-create-home --shell /usr/sbin/nologin gateway \
 && install --directory --owner=gateway --group=gateway --mode=0700 /var/lib/gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATEWAY_DATA_DIR=/var/lib/gateway
USER 10001:10001
VOLUME /var/lib/gateway
# The configuration is mounted as /etc/gateway/gateway.yaml.
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
