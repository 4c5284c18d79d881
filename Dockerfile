# One image for the worker and for everything else that the binary `transom` does. Built from crates.io alone, by the
# classic builder as well as by BuildKit: no `# syntax` line, no `RUN --mount`, no `COPY --chmod`.

# What cargo needs to know before it can build the dependencies: manifests, the lock file, and where each crate begins.
FROM rust:1-slim-bookworm AS plan
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name lib.rs ! -name main.rs -delete \
    && find . -type d -empty -delete \
    && find . -name lib.rs -exec sh -c 'echo "//! Nothing yet." | tee "$@"' sh {} + \
    && find . -name main.rs -exec sh -c 'echo "fn main() { }" | tee "$@"' sh {} +

FROM rust:1-slim-bookworm AS build
WORKDIR /src
# Symbols stay, so that a backtrace has names; line tables would be most of the image.
ENV CARGO_PROFILE_RELEASE_DEBUG=false CARGO_PROFILE_RELEASE_STRIP=debuginfo

# The dependencies, in a layer that lives until a manifest changes.
COPY --from=plan /src .
RUN cargo build --release --locked -p transom-cli

# The product. The sources are touched because cargo goes by time stamps, and the files above are younger. What the
# dependencies generated stays as it is, or they would be built again.
COPY . .
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --release --locked -p transom-cli

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Transom" \
      org.opencontainers.image.description="A distributed rate limiter for HTTP APIs on Redis" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /src/target/release/transom /usr/local/bin/transom
# A number, so that Kubernetes can see that it is not root. Nothing in the image belongs to it.
USER 65532:65532
# Gateway, check, Envoy's rate limit service, admin. By default they listen on loopback, which nobody outside the container
# reaches: set TRANSOM__LISTEN__GATEWAY=0.0.0.0:8080 and so on, as docker-compose.yml does.
EXPOSE 8080 8081 8082 8083
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["transom", "health"]
ENTRYPOINT ["transom"]
CMD ["serve"]
