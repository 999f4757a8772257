# Larder for any machine that Node's Debian image exists for: arm64 and armhf (Raspberry Pi), amd64.
# Debian and not Alpine: the store's ready-made arm64 binary is built for glibc. 22 is the newest LTS with an image for 32-bit
# ARM; elsewhere `--build-arg NODE=24` gives the same program on a newer one.
ARG NODE=22

FROM node:${NODE}-trixie-slim AS base
WORKDIR /opt/larder

# Pins need `epoll`, which is compiled here; everything else comes ready-made.
FROM base AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential python3 \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run build \
 && packages=$(node scripts/build.mjs --packages) \
 && mkdir /program \
 && cp -a --parents bin dist package.json LICENSE $packages /program \
 && rm -rf /program/node_modules/@types \
 && find /program -name '*.map' -delete

FROM base
# gpiod's tools count fast pulses.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gpiod \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /data --groups dialout larder \
 && install -d -o larder -g larder -m 0700 /data
COPY --from=build /program ./
COPY device/container/larder-start device/container/larder-healthy /usr/local/bin/
WORKDIR /data
VOLUME /data
# Inside the container every address; which port the house sees is up to whoever runs the container. Who may come in is,
# too: without LARDER_PASSWORD_FILE or LARDER_ALLOW_ANONYMOUS=true it does not start, and says so.
ENV NODE_ENV=production \
    NODE_OPTIONS=--max-old-space-size=192 \
    XDG_CACHE_HOME=/data/cache \
    LARDER_DATA_DIR=/data \
    LARDER_LISTENERS=mqtt://0.0.0.0:1883 \
    LARDER_METRICS_LISTEN=http://127.0.0.1:9883
EXPOSE 1883
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["larder-healthy"]
# It begins as root and gives that up before the gateway starts: see the file.
ENTRYPOINT ["larder-start"]
CMD ["start"]
