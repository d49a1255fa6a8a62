# The same server without the Functions host: Container Apps, Kubernetes, any machine.
#   docker build --tag entra-mcp-server .
#   docker run --publish 8080:8080 --env-file settings.env --stop-timeout 30 entra-mcp-server
# SIGTERM drains for up to 25 s; Docker gives 10 s unless told, Kubernetes and Container Apps give 30 s.

# Debian 12 in both stages: what is linked against glibc here finds the same glibc below.
FROM rust:1.95.0-slim-bookworm AS build
# rust-toolchain.toml also asks for rustfmt and clippy, which nobody needs here.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --package handler --bin handler && \
    cp target/release/handler /handler

# CA certificates, glibc and libgcc; no shell. `nonroot` is user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /handler /handler
ENV HOST=0.0.0.0 PORT=8080
EXPOSE 8080
USER 65532:65532
# Kubernetes and Container Apps ignore this line: point their probes to /health/live and /health/ready.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 CMD ["/handler", "health"]
ENTRYPOINT ["/handler"]
