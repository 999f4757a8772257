# Larder for any machine that Node's Debian image exists for: arm64 and armhf (Raspberry Pi), amd64.
# Debian and not Alpine: the store's ready-made arm64 binary is built for glibc.

FROM node:20-bookworm-slim AS base
WORKDIR /opt/larder

# Pins need `epoll`, which is compiled here; everything else comes ready-made.
FROM base AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential python3 \
 && rm -rf /var/lib/apt/lists/*
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build \
 && packages=$(node scripts/build.mjs --packages) \
 && mkdir /program \
 && cp -a --parents bin dist package.json LICENSE $packages /program

FROM base
# dialout owns the serial ports.
RUN useradd --system --home-dir /data --groups dialout larder \
 && install -d -o larder -g larder -m 0700 /data
COPY --from=build /program ./
USER larder
WORKDIR /data
VOLUME /data
# Inside the container every address; which port the house sees is up to whoever runs the container. Who may come in is,
# too: without LARDER_PASSWORD_FILE or LARDER_ALLOW_ANONYMOUS=true it does not start, and says so.
ENV NODE_ENV=production \
    NODE_OPTIONS=--max-old-space-size=192 \
    LARDER_DATA_DIR=/data \
    LARDER_LISTENERS=mqtt://0.0.0.0:1883
EXPOSE 1883
ENTRYPOINT ["/opt/larder/bin/larder"]
CMD ["start"]
