# docker build -t nitrokv .
# docker run -p 127.0.0.1:6379:6379 -v $(pwd)/data:/app/data nitrokv
#
# docs/OPERATIONS.md, "Container and systemd", says what the image does with users, folders and passwords. Both stages
# are the same release of Debian, because the binary is linked with the C library of the first.

FROM golang:1.26-trixie AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends liblz4-dev libzstd-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -ldflags='-s -w' -o /nitrokv ./cmd/nitrokv

FROM debian:trixie-slim
LABEL org.opencontainers.image.title="NitroKV" \
      org.opencontainers.image.description="Key-value server for any Redis client; acknowledged writes are on disk" \
      org.opencontainers.image.source="https://github.com/nitrokv/nitrokv" \
      org.opencontainers.image.licenses="MIT"

RUN apt-get update \
 && apt-get install -y --no-install-recommends liblz4-1 libzstd1 \
 && rm -rf /var/lib/apt/lists/*
# The folder's group is root's, and may write, for platforms that start containers as a uid of their own with that group.
RUN groupadd --gid 6379 nitrokv \
 && useradd --uid 6379 --gid 6379 --home-dir /app --no-create-home --shell /usr/sbin/nologin nitrokv \
 && install -d -m 0755 /app \
 && install -d -m 0770 -o nitrokv -g root /app/data
COPY --from=build /nitrokv /usr/local/bin/nitrokv
COPY packaging/entrypoint.sh /usr/local/bin/nitrokv-entrypoint
COPY LICENSE /usr/share/doc/nitrokv/LICENSE
# What an entry point of root's ends with: proves that the binary finds its libraries, and setpriv its options.
RUN setpriv --reuid=6379 --regid=6379 --clear-groups --no-new-privs -- nitrokv version

WORKDIR /app
VOLUME /app/data
EXPOSE 6379 8379
STOPSIGNAL SIGTERM
# Answers while data is still being loaded, too. With a password it needs NITROKV_PASSWORD or NITROKV_PASSWORD_FILE,
# which it shares with the server.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 \
    CMD ["nitrokv", "stats", "server", "--timeout", "5s"]

# The entry point starts as root to make a mounted folder usable; nitrokv itself runs as a user.
ENTRYPOINT ["nitrokv-entrypoint"]
CMD ["nitrokv", "serve", "--listen", "0.0.0.0:6379", "--http", "0.0.0.0:8379", "--insecure-no-auth"]
