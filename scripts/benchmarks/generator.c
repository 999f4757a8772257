/*
 * The load generator of `scripts/bench brokers`: one thread, epoll, packets made in place, so that one core is enough
 * to keep the fastest broker busy. It publishes and subscribes as it is told, looks at every message that comes out
 * (whole, in order, none twice) and prints one line of JSON.
 *
 * A message's payload begins with the publisher's number (2 bytes), the message's number (8) and the time it was made
 * (8, nanoseconds). Messages of one publisher that lie on one topic must come out in that order.
 *
 *   generator run      publish and receive; see `usage` for the flags
 *   generator enqueue  publish only, for sessions that are away
 *   generator drain    receive only, what waits or is retained; counted from the first connection on
 *   generator hold     keep connections with a subscription each until it is killed
 *   generator leave    make sessions with subscriptions, and leave them
 *   generator connect  connect and say goodbye, again and again
 *   generator ask      subscribe to one exact topic and unsubscribe, again and again
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

#define HEAD 18            /* bytes of a payload that are ours */
#define MAX_UNSENT 262144  /* bytes gathered for a connection before more is made */
#define READ_SIZE 262144
#define LOST_AFTER 2.0     /* seconds without progress after which what is missing counts as lost */
#define SETUP_TIME 30.0    /* seconds for all connections and subscriptions */
#define MAX_PIDS 65535
#define SPARE_FILES 32     /* what is open beside the connections */
#define MAX_SAMPLES 4000000
#define STRIDE 7919        /* a prime: topics in scattered order, each once before any comes again */

typedef unsigned char byte;

static struct {
  int port, subscriber_port, pid, publishers, subscribers, topics, qos, payload, window, version, clean, alias, properties, ws, tls, retain;
  int drain, limit, lockstep;
  long messages;
  double rate;
  const char *spread, *prefix, *filter; /* filter: in the place of all topics, one by one */
} cfg = {.port = 1883, .publishers = 1, .subscribers = 1, .topics = 1, .payload = 64, .window = 4000, .version = 4,
         .clean = 1, .limit = 1000, .spread = "shared", .prefix = "bench"};

enum state { OPENING, SHAKING, UPGRADING, GREETING, SUBSCRIBING, READY, GONE };

struct conn {
  int fd, index, is_publisher, state, wants_write, unacked, suback_left, window, in_at_once;
  byte *in, *out;
  size_t in_used, in_size, out_used, out_size, out_sent;
  size_t ws_left;          /* of the frame that is being read */
  byte *raw; size_t raw_used, raw_size; /* WebSocket: bytes that are not unframed yet */
  uint16_t next_pid;
  uint64_t next, owed;     /* next message's number; how many it has to send */
  uint64_t *expected;      /* subscriber: next number by publisher and topic */
  int topics;              /* how many of them */
#ifdef WITH_TLS
  SSL *ssl;
#endif
};

static struct conn *conns;
static int conn_count, epoll_fd, ready_count;
static uint64_t sent, acked, received, misordered, repeated, expected_total;
static double last_progress;
static uint32_t *samples; static long sample_count;
static byte *filler;
#ifdef WITH_TLS
static SSL_CTX *tls;
#endif

static void die(const char *form, ...) {
  va_list args; va_start(args, form);
  fprintf(stderr, "generator: "); vfprintf(stderr, form, args); fprintf(stderr, "\n");
  exit(1);
}

static uint64_t nanoseconds(void) {
  struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
static double seconds(void) { return (double)nanoseconds() / 1e9; }

/* Processor time of a process with all its threads, from what the scheduler counts, in seconds. */
static double processor_of(int pid) {
  char path[64]; snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *dir = opendir(path); double sum = 0;
  if (dir == NULL) return 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    if (e->d_name[0] == '.') continue;
    char file[400]; snprintf(file, sizeof file, "%s/%s/schedstat", path, e->d_name);
    FILE *f = fopen(file, "r"); unsigned long long ns;
    if (f == NULL) continue;
    if (fscanf(f, "%llu", &ns) == 1) sum += (double)ns / 1e9;
    fclose(f);
  }
  closedir(dir);
  return sum;
}
static double own_processor(void) {
  struct rusage u; getrusage(RUSAGE_SELF, &u);
  return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 + (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
}

/* ---- bytes out ---- */

static byte *room(struct conn *c, size_t n) {
  if (c->out_used + n > c->out_size) {
    if (c->out_sent > 0) {
      memmove(c->out, c->out + c->out_sent, c->out_used - c->out_sent);
      c->out_used -= c->out_sent; c->out_sent = 0;
    }
    if (c->out_used + n > c->out_size) {
      c->out_size = (c->out_used + n) * 2;
      c->out = realloc(c->out, c->out_size);
    }
  }
  return c->out + c->out_used;
}
static void put(struct conn *c, const void *bytes, size_t n) { memcpy(room(c, n), bytes, n); c->out_used += n; }
static void put8(struct conn *c, int v) { *room(c, 1) = (byte)v; c->out_used++; }
static void put16(struct conn *c, int v) { put8(c, v >> 8); put8(c, v & 255); }
static void put_varint(struct conn *c, size_t v) {
  do { int b = (int)(v & 127); v >>= 7; put8(c, v ? b | 128 : b); } while (v);
}
static void put_text(struct conn *c, const char *s) { put16(c, (int)strlen(s)); put(c, s, strlen(s)); }
static size_t varint_length(size_t v) { return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4; }

/* A packet goes out as one binary frame, masked with zeros: that is a mask, and leaves the bytes as they are. */
static void begin(struct conn *c, size_t packet) {
  if (!cfg.ws) return;
  put8(c, 0x82);
  if (packet < 126) put8(c, 0x80 | (int)packet);
  else if (packet < 65536) { put8(c, 0x80 | 126); put16(c, (int)packet); }
  else { put8(c, 0x80 | 127); put16(c, 0); put16(c, 0); put16(c, (int)(packet >> 16)); put16(c, (int)(packet & 65535)); }
  put(c, "\0\0\0\0", 4);
}
static void head(struct conn *c, int first, size_t length) {
  begin(c, 1 + varint_length(length) + length);
  put8(c, first); put_varint(c, length);
}

static void want(struct conn *c, int write) {
  if (c->wants_write == write) return;
  c->wants_write = write;
  struct epoll_event e = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}
static void flush(struct conn *c) {
  while (c->out_sent < c->out_used) {
    ssize_t n;
#ifdef WITH_TLS
    if (c->ssl) { n = SSL_write(c->ssl, c->out + c->out_sent, (int)(c->out_used - c->out_sent)); if (n <= 0) { n = -1; errno = EAGAIN; } }
    else
#endif
    n = write(c->fd, c->out + c->out_sent, c->out_used - c->out_sent);
    if (n < 0) {
      if (errno == EAGAIN) { want(c, 1); return; }
      die("a connection broke: %s", strerror(errno));
    }
    c->out_sent += (size_t)n;
  }
  c->out_used = c->out_sent = 0;
  want(c, 0);
}

/* ---- packets ---- */

static void send_connect(struct conn *c) {
  char id[64]; snprintf(id, sizeof id, "%s-%s-%d", cfg.prefix, c->is_publisher ? "pub" : "sub", c->index);
  int v5 = cfg.version == 5;
  /* A session that is to be there later must not end with its connection. */
  size_t properties = v5 && !cfg.clean ? 5 : 0;
  size_t length = 10 + (v5 ? 1 + properties : 0) + 2 + strlen(id);
  head(c, 0x10, length);
  put_text(c, "MQTT"); put8(c, cfg.version); put8(c, cfg.clean || c->is_publisher ? 2 : 0); put16(c, 0);
  if (v5) { put8(c, (int)properties); if (properties) { put8(c, 0x11); put16(c, 0xffff); put16(c, 0xffff); } }
  put_text(c, id);
}

static int topic_of(char *into, size_t size, int number) {
  return snprintf(into, size, strcmp(cfg.spread, "parts") == 0 ? "%s/state/%d" : "%s/%d", cfg.prefix, number);
}

/* Which topics a subscriber has: the first and how many. */
static void topics_of(const struct conn *c, int *first, int *count) {
  int own = strcmp(cfg.spread, "own") == 0;
  *count = own ? 1 : strcmp(cfg.spread, "parts") == 0 ? cfg.topics / cfg.subscribers : cfg.topics;
  *first = strcmp(cfg.spread, "shared") == 0 ? 0 : c->index * *count;
}
/* A filter for one topic; with parts, every other one has a plus sign in it. */
static int filter_of(char *into, size_t size, int number) {
  if (strcmp(cfg.spread, "parts") != 0 || number % 2 == 0) return topic_of(into, size, number);
  return snprintf(into, size, "%s/+/%d", cfg.prefix, number);
}
#define FILTERS_PER_PACKET 100
static void send_subscribe(struct conn *c) {
  if (cfg.filter) {
    head(c, 0x82, 5 + strlen(cfg.filter) + (cfg.version == 5));
    put16(c, 1); if (cfg.version == 5) put8(c, 0);
    put_text(c, cfg.filter); put8(c, cfg.qos);
    c->suback_left = 1;
    return;
  }
  int first, count; topics_of(c, &first, &count);
  c->suback_left = 0;
  for (int at = 0; at < count; at += FILTERS_PER_PACKET) {
    int n = count - at < FILTERS_PER_PACKET ? count - at : FILTERS_PER_PACKET;
    char topic[64]; size_t length = 2 + (cfg.version == 5);
    for (int i = 0; i < n; i++) length += 3 + (size_t)filter_of(topic, sizeof topic, first + at + i);
    head(c, 0x82, length);
    put16(c, at / FILTERS_PER_PACKET % MAX_PIDS + 1);
    if (cfg.version == 5) put8(c, 0);
    for (int i = 0; i < n; i++) { filter_of(topic, sizeof topic, first + at + i); put_text(c, topic); put8(c, cfg.qos); }
    c->suback_left++;
  }
}

#define NAME "larder-bench"
#define VALUE "a value of some length"
static void send_publish(struct conn *c) {
  uint64_t number = c->next++;
  int own = strcmp(cfg.spread, "own") == 0;
  /* Parts: one far from the other, as many senders would have it. */
  int scattered = strcmp(cfg.spread, "parts") == 0;
  int topic_number = own ? c->index : (int)(number * (scattered ? STRIDE : 1) % (uint64_t)cfg.topics);
  char topic[64]; size_t topic_length = (size_t)topic_of(topic, sizeof topic, topic_number);
  int v5 = cfg.version == 5;
  int has_alias = v5 && cfg.alias && topic_number < cfg.alias;
  /* The first message of each topic tells it, and what it is called from then on. */
  int is_known = has_alias && number >= (uint64_t)(own ? 1 : cfg.topics);
  if (is_known) topic_length = 0;
  size_t properties = (has_alias ? 3 : 0) + (size_t)cfg.properties * (5 + sizeof NAME - 1 + sizeof VALUE - 1);
  size_t length = 2 + topic_length + (cfg.qos ? 2 : 0) + (v5 ? varint_length(properties) + properties : 0) + (size_t)cfg.payload;
  head(c, 0x30 | cfg.qos << 1 | cfg.retain, length);
  put16(c, (int)topic_length); put(c, topic, topic_length);
  if (cfg.qos) { c->next_pid = c->next_pid == MAX_PIDS ? 1 : c->next_pid + 1; put16(c, c->next_pid); c->unacked++; }
  if (v5) {
    put_varint(c, properties);
    if (has_alias) { put8(c, 0x23); put16(c, topic_number + 1); }
    for (int i = 0; i < cfg.properties; i++) { put8(c, 0x26); put_text(c, NAME); put_text(c, VALUE); }
  }
  byte *p = room(c, (size_t)cfg.payload);
  uint64_t now = cfg.rate > 0 ? nanoseconds() : 0;
  p[0] = (byte)(c->index >> 8); p[1] = (byte)c->index;
  memcpy(p + 2, &number, 8); memcpy(p + 10, &now, 8);
  memcpy(p + HEAD, filler, (size_t)cfg.payload - HEAD);
  c->out_used += (size_t)cfg.payload;
  sent++;
}

static void send_ack(struct conn *c, int type, const byte *pid) {
  begin(c, 4); put8(c, type); put8(c, 2); put(c, pid, 2);
}

/* How many get each message. */
static uint64_t fan(void) { return strcmp(cfg.spread, "shared") == 0 ? (uint64_t)cfg.subscribers : 1; }

static void fill(struct conn *c) {
  if (c->state != READY || cfg.drain) return;
  /* The whole window, or nothing: what happens then does not depend on who is faster. */
  int waits = cfg.lockstep && (c->unacked > 0 || (expected_total > 0 && received < sent * fan()));
  while (!waits && c->next < c->owed && c->out_used - c->out_sent < MAX_UNSENT) {
    if (cfg.qos ? c->unacked >= c->window : sent * fan() - received >= (uint64_t)cfg.window * fan()) break;
    send_publish(c);
  }
  flush(c);
}

static void check(struct conn *c, const byte *topic, size_t topic_length, const byte *p, size_t n) {
  if (n != (size_t)cfg.payload) die("a payload has %zu bytes, not %d", n, cfg.payload);
  int publisher = p[0] << 8 | p[1];
  uint64_t number, made; memcpy(&number, p + 2, 8); memcpy(&made, p + 10, 8);
  size_t slash = topic_length;
  while (slash > 0 && topic[slash - 1] != '/') slash--;
  int topic_number = 0;
  for (size_t i = slash; i < topic_length; i++) topic_number = topic_number * 10 + topic[i] - '0';
  int own = strcmp(cfg.spread, "own") == 0;
  if (publisher >= cfg.publishers) die("a message of a publisher that does not exist: %d", publisher);
  uint64_t *next = &c->expected[(size_t)publisher * (size_t)c->topics + (own ? 0 : (size_t)(topic_number % c->topics))];
  if (number < *next) repeated++;
  else { if (number > *next + (own ? 0 : (uint64_t)cfg.topics - 1) && cfg.qos) misordered++; *next = number + 1; }
  received++;
  if (cfg.rate > 0 && sample_count < MAX_SAMPLES) samples[sample_count++] = (uint32_t)((nanoseconds() - made) / 1000);
}

static size_t read_varint(const byte *p, size_t n, size_t *value) {
  size_t v = 0; *value = 0;
  for (size_t i = 0; i < 4 && i < n; i++) { v |= (size_t)(p[i] & 127) << (7 * i); if (!(p[i] & 128)) { *value = v; return i + 1; } }
  return 0;
}

static void become_ready(struct conn *c) { c->state = READY; ready_count++; }

static void on_connack(struct conn *c, const byte *p, size_t n) {
  if (p[1] != 0) die("a connection was refused: %d", p[1]);
  c->window = cfg.window;
  if (cfg.version == 5) {
    size_t length, at = 2 + read_varint(p + 2, n - 2, &length);
    for (size_t end = at + length; at < end;) {
      int id = p[at++];
      if (id == 0x21) { int max = p[at] << 8 | p[at + 1]; if (max < c->window) c->window = max; at += 2; }
      else if (id == 0x22 || id == 0x13) at += 2;
      else if (id == 0x11 || id == 0x27) at += 4;
      else if (id == 0x24 || id == 0x25 || id == 0x28 || id == 0x29 || id == 0x2a) at += 1;
      else if (id == 0x26) { at += 2u + (size_t)(p[at] << 8 | p[at + 1]); at += 2u + (size_t)(p[at] << 8 | p[at + 1]); }
      else at += 2u + (size_t)(p[at] << 8 | p[at + 1]);
    }
  }
  if (c->is_publisher || (cfg.drain && p[0] == 1)) become_ready(c);
  else { c->state = SUBSCRIBING; send_subscribe(c); flush(c); }
}

static void on_packet(struct conn *c, int first, const byte *p, size_t n) {
  switch (first >> 4) {
    case 2: on_connack(c, p, n); break;
    case 9: if (c->state == SUBSCRIBING && --c->suback_left == 0) become_ready(c); break;
    case 3: {
      int qos = first >> 1 & 3;
      size_t topic_length = (size_t)(p[0] << 8 | p[1]), at = 2 + topic_length;
      const byte *pid = p + at;
      if (qos) at += 2;
      if (cfg.version == 5) { size_t length; at += read_varint(p + at, n - at, &length); at += length; }
      check(c, p + 2, topic_length, p + at, n - at);
      if (qos) send_ack(c, qos == 1 ? 0x40 : 0x50, pid);
      last_progress = seconds();
      break;
    }
    case 4: case 7: c->unacked--; acked++; last_progress = seconds(); break;
    case 5: send_ack(c, 0x62, p); break;
    case 6: send_ack(c, 0x70, p); break;
    case 11: case 13: break;
    default: die("the broker sent a packet of type %d", first >> 4);
  }
}

static void grow(byte **p, size_t *size, size_t need) {
  if (need <= *size) return;
  *size = need * 2; *p = realloc(*p, *size);
}

/* Takes the frames off what came by WebSocket. */
static void unframe(struct conn *c) {
  size_t at = 0;
  while (at < c->raw_used) {
    if (c->ws_left == 0) {
      const byte *p = c->raw + at; size_t have = c->raw_used - at, skip = 2;
      if (have < 2) break;
      size_t length = p[1] & 127;
      if (length == 126) { if (have < 4) break; length = (size_t)(p[2] << 8 | p[3]); skip = 4; }
      else if (length == 127) {
        if (have < 10) break;
        length = (size_t)p[6] << 24 | (size_t)p[7] << 16 | (size_t)p[8] << 8 | p[9]; skip = 10;
      }
      at += skip; c->ws_left = length;
      continue;
    }
    size_t n = c->raw_used - at < c->ws_left ? c->raw_used - at : c->ws_left;
    grow(&c->in, &c->in_size, c->in_used + n);
    memcpy(c->in + c->in_used, c->raw + at, n);
    c->in_used += n; at += n; c->ws_left -= n;
  }
  memmove(c->raw, c->raw + at, c->raw_used - at);
  c->raw_used -= at;
}

static void parse(struct conn *c) {
  size_t at = 0;
  while (c->in_used - at >= 2) {
    size_t length, k = read_varint(c->in + at + 1, c->in_used - at - 1, &length);
    if (k == 0 || c->in_used - at < 1 + k + length) {
      if (k) grow(&c->in, &c->in_size, at + 1 + k + length + READ_SIZE);
      break;
    }
    on_packet(c, c->in[at], c->in + at + 1 + k, length);
    at += 1 + k + length;
  }
  if (at == 0) return;
  memmove(c->in, c->in + at, c->in_used - at);
  c->in_used -= at;
}

static ssize_t take(struct conn *c, byte *into, size_t size) {
#ifdef WITH_TLS
  if (c->ssl) {
    int n = SSL_read(c->ssl, into, (int)size);
    if (n > 0) return n;
    int why = SSL_get_error(c->ssl, n);
    errno = EAGAIN;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
  }
#endif
  return read(c->fd, into, size);
}

static void greet(struct conn *c) { c->state = GREETING; send_connect(c); flush(c); }

static void opened(struct conn *c) {
  if (!cfg.ws) { greet(c); return; }
  c->state = UPGRADING;
  char text[300];
  int n = snprintf(text, sizeof text,
                   "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
                   cfg.port);
  put(c, text, (size_t)n);
  flush(c);
}

static void on_readable(struct conn *c) {
#ifdef WITH_TLS
  if (c->state == SHAKING) {
    int n = SSL_connect(c->ssl);
    if (n == 1) { want(c, 0); opened(c); }
    else if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE) want(c, 1);
    else if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) die("a TLS handshake failed");
    return;
  }
#endif
  byte **buffer = cfg.ws ? &c->raw : &c->in;
  size_t *size = cfg.ws ? &c->raw_size : &c->in_size, *used = cfg.ws ? &c->raw_used : &c->in_used;
  size_t once = (size_t)c->in_at_once;
  for (;;) {
    grow(buffer, size, *used + once);
    ssize_t n = take(c, *buffer + *used, *size - *used);
    if (n < 0) { if (errno == EAGAIN) break; die("a connection broke: %s", strerror(errno)); }
    if (n == 0) die("the broker closed a connection");
    *used += (size_t)n;
    if (c->state == UPGRADING) {
      byte *end = memmem(c->raw, c->raw_used, "\r\n\r\n", 4);
      if (end == NULL) continue;
      if (memcmp(c->raw, "HTTP/1.1 101", 12) != 0) die("no WebSocket: %.60s", c->raw);
      size_t skip = (size_t)(end + 4 - c->raw);
      memmove(c->raw, c->raw + skip, c->raw_used - skip); c->raw_used -= skip;
      greet(c);
    }
    if (cfg.ws) unframe(c);
    parse(c);
    /* An answer is worth its bytes at once: others wait behind it. */
    if (!c->is_publisher && c->out_used - c->out_sent >= 65536) flush(c);
#ifdef WITH_TLS
    if (c->ssl) continue;
#endif
    if ((size_t)n < once) break;
  }
  if (!c->is_publisher) flush(c);
}

static void open_conn(struct conn *c, int index, int is_publisher, int small) {
  memset(c, 0, sizeof *c);
  c->index = index; c->is_publisher = is_publisher;
  c->in_at_once = small ? 4096 : READ_SIZE;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) die("no socket: %s", strerror(errno));
  int one = 1; setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(is_publisher || !cfg.subscriber_port ? cfg.port : cfg.subscriber_port))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect: %s", strerror(errno));
  c->state = OPENING; c->wants_write = 1;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void on_writable(struct conn *c) {
  if (c->state != OPENING) { if (c->state != SHAKING) flush(c); else on_readable(c); return; }
  int fault; socklen_t n = sizeof fault;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &fault, &n);
  if (fault) die("the broker cannot be reached: %s", strerror(fault));
#ifdef WITH_TLS
  if (cfg.tls) {
    c->ssl = SSL_new(tls); SSL_set_fd(c->ssl, c->fd); c->state = SHAKING;
    on_readable(c);
    return;
  }
#endif
  opened(c);
}

/* One look at everything that has happened; waits at most so long. */
static int turn(int milliseconds) {
  static struct epoll_event events[512];
  int n = epoll_wait(epoll_fd, events, 512, milliseconds);
  for (int i = 0; i < n; i++) {
    struct conn *c = events[i].data.ptr;
    if (events[i].events & EPOLLOUT) on_writable(c);
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) if (c->state != OPENING && c->state != GONE) on_readable(c);
  }
  return n;
}

/* At most so many are on their way at once: a listener's backlog is short. */
#define AT_ONCE 64
static void open_all(int publishers, int subscribers, int small) {
  conn_count = publishers + subscribers;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max < (rlim_t)(conn_count + SPARE_FILES))
    die("%d connections need more open files than the %lu that are allowed: ulimit -Hn", conn_count, (unsigned long)files.rlim_max);
  files.rlim_cur = files.rlim_max; setrlimit(RLIMIT_NOFILE, &files);
  conns = calloc((size_t)conn_count, sizeof *conns);
  double end = seconds() + SETUP_TIME + conn_count / 500.0;
  /* Subscribers first: nothing must be published before they are there. */
  for (int i = 0; i < conn_count;) {
    while (i < conn_count && i - ready_count < AT_ONCE) {
      int is_publisher = i >= subscribers;
      struct conn *c = &conns[i++];
      open_conn(c, is_publisher ? (int)(c - conns) - subscribers : (int)(c - conns), is_publisher, small);
      if (!is_publisher) {
        int first; topics_of(c, &first, &c->topics);
        c->expected = calloc((size_t)cfg.publishers * (size_t)c->topics, sizeof *c->expected);
      }
    }
    turn(100);
    if (seconds() > end) die("only %d of %d connections came about", ready_count, conn_count);
  }
  while (ready_count < conn_count) { turn(100); if (seconds() > end) die("only %d of %d connections came about", ready_count, conn_count); }
}

static int by_size(const void *a, const void *b) { uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b; return x < y ? -1 : x > y; }

static void report(double took, double broker, double own, uint64_t count) {
  printf("{\"count\":%lu,\"sent\":%lu,\"acked\":%lu,\"received\":%lu,\"lost\":%ld,\"misordered\":%lu,\"repeated\":%lu,"
         "\"seconds\":%.6f,\"rate\":%.1f,\"broker\":%.6f,\"microseconds\":%.4f,\"generator\":%.4f",
         count, sent, acked, received, (long)expected_total - (long)received, misordered, repeated, took, took > 0 ? (double)count / took : 0, broker,
         broker * 1e6 / (double)(count ? count : 1), took > 0 ? own / took : 0);
  if (sample_count > 0) {
    qsort(samples, (size_t)sample_count, sizeof *samples, by_size);
    printf(",\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"worst\":%.3f", samples[sample_count / 2] / 1e3,
           samples[(long)((double)sample_count * .99)] / 1e3, samples[(long)((double)sample_count * .999)] / 1e3, samples[sample_count - 1] / 1e3);
  }
  printf("}\n");
}

static void run(void) {
  /* Drained is what a run before has left in the sessions. */
  double processor = processor_of(cfg.pid), own = own_processor(), start = seconds();
  last_progress = start;
  open_all(cfg.drain ? 0 : cfg.publishers, cfg.subscribers, 0);
  if (!cfg.drain) { processor = processor_of(cfg.pid); own = own_processor(); last_progress = start = seconds(); }
  expected_total = (uint64_t)cfg.messages * fan();
  struct conn *pubs = conns + cfg.subscribers;
  if (!cfg.drain) for (int i = 0; i < cfg.publishers; i++)
    pubs[i].owed = (uint64_t)(cfg.messages / cfg.publishers + (i < cfg.messages % cfg.publishers));
  double next_at = start;
  while (received < expected_total || (!cfg.drain && cfg.qos && acked < (uint64_t)cfg.messages)) {
    if (cfg.rate > 0) {
      for (double now = seconds(); next_at <= now && sent < (uint64_t)cfg.messages; next_at += 1 / cfg.rate) {
        struct conn *c = &pubs[sent % (uint64_t)cfg.publishers];
        send_publish(c); flush(c);
      }
      turn(0);
    } else {
      if (!cfg.drain) for (int i = 0; i < cfg.publishers; i++) fill(&pubs[i]);
      turn(20);
    }
    if (seconds() - last_progress > LOST_AFTER) break;
  }
  double end = last_progress > start ? last_progress : seconds();
  /* What the broker still does about it (acknowledgements, the store) belongs to it. */
  turn(5);
  report(end - start, processor_of(cfg.pid) - processor, own_processor() - own, received ? received : acked);
}

/* Publishes for sessions that are away: the subscribers must have been there before, with `leave --clean 0`. */
static void enqueue(void) {
  open_all(cfg.publishers, 0, 0);
  double processor = processor_of(cfg.pid), own = own_processor(), start = seconds();
  for (int i = 0; i < cfg.publishers; i++) conns[i].owed = (uint64_t)(cfg.messages / cfg.publishers + (i < cfg.messages % cfg.publishers));
  last_progress = start;
  while (acked < (uint64_t)cfg.messages && seconds() - last_progress < 10) {
    for (int i = 0; i < cfg.publishers; i++) fill(&conns[i]);
    turn(20);
  }
  expected_total = 0;
  report(last_progress - start, processor_of(cfg.pid) - processor, own_processor() - own, acked);
}

static void hold(void) {
  open_all(0, cfg.subscribers, 1);
  printf("{\"ready\":%d}\n", ready_count); fflush(stdout);
  for (;;) turn(-1);
}

/* Sessions that are away from now on. */
static void leave(void) {
  open_all(0, cfg.subscribers, 1);
  byte goodbye[] = {0xe0, 0};
  for (int i = 0; i < conn_count; i++) if (write(conns[i].fd, goodbye, 2) < 0) die("a goodbye could not be said");
  report(0, 0, 0, (uint64_t)ready_count);
}

/* So many at once, each from CONNECT to CONNACK. */
static void connect_again(void) {
  cfg.spread = "own";
  long done = 0, begun = 0;
  int at_once = cfg.window < 1000 ? cfg.window : 50;
  conns = calloc((size_t)at_once, sizeof *conns);
  double processor = processor_of(cfg.pid), own = own_processor(), start = seconds();
  for (int i = 0; i < at_once; i++) { open_conn(&conns[i], (int)begun++, 1, 1); }
  while (done < cfg.messages) {
    turn(100);
    for (int i = 0; i < at_once; i++) {
      struct conn *c = &conns[i];
      if (c->state != READY) continue;
      done++;
      byte goodbye[] = {0xe0, 0};
      if (write(c->fd, goodbye, 2) < 0) die("a goodbye could not be said");
      close(c->fd); free(c->in); free(c->out);
      c->state = GONE;
      if (begun < cfg.messages) open_conn(c, (int)begun++, 1, 1);
    }
  }
  double took = seconds() - start;
  report(took, processor_of(cfg.pid) - processor, own_processor() - own, (uint64_t)done);
}

/* One exact SUBSCRIBE, with what is retained there, beside whatever else is retained; one after the other. */
static void ask(void) {
  int topics = cfg.topics; cfg.topics = 1;
  open_all(0, 1, 0);
  struct conn *c = &conns[0];
  double processor = processor_of(cfg.pid), own = own_processor(), start = seconds();
  cfg.topics = topics;
  for (long i = 0; i < cfg.messages; i++) {
    char topic[64]; size_t n = (size_t)topic_of(topic, sizeof topic, (int)(i * STRIDE % topics));
    uint64_t before = received; c->state = SUBSCRIBING; c->suback_left = 1; c->expected[0] = 0;
    head(c, 0x82, 5 + n + (cfg.version == 5)); put16(c, 2); if (cfg.version == 5) put8(c, 0);
    put_text(c, topic); put8(c, cfg.qos); flush(c);
    double until = seconds() + 5;
    while (received == before || c->state != READY) { turn(100); if (seconds() > until) die("no answer to a SUBSCRIBE"); }
    head(c, 0xa2, 4 + n + (cfg.version == 5)); put16(c, 3); if (cfg.version == 5) put8(c, 0);
    put_text(c, topic); flush(c);
  }
  expected_total = received; misordered = repeated = 0;
  report(seconds() - start, processor_of(cfg.pid) - processor, own_processor() - own, (uint64_t)cfg.messages);
}

static void usage(void) {
  die("run|enqueue|drain|hold|leave|connect|ask with --port --subscriber-port --pid --publishers --subscribers --topics --spread shared|own|parts --qos --payload "
      "--window --lockstep 1 --messages --rate --version 4|5 --clean 0|1 --alias N --properties N --retain 1 --ws 1 --tls 1 --prefix TEXT --filter TEXT");
}

int main(int argc, char **argv) {
  if (argc < 2) usage();
  /* Who holds connections must not do so for a bench that is gone. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct { const char *name; int *into; } flags[] = {
      {"port", &cfg.port}, {"subscriber-port", &cfg.subscriber_port}, {"pid", &cfg.pid}, {"publishers", &cfg.publishers}, {"subscribers", &cfg.subscribers}, {"topics", &cfg.topics},
      {"qos", &cfg.qos}, {"payload", &cfg.payload}, {"window", &cfg.window}, {"version", &cfg.version}, {"clean", &cfg.clean},
      {"alias", &cfg.alias}, {"properties", &cfg.properties}, {"ws", &cfg.ws}, {"tls", &cfg.tls}, {"retain", &cfg.retain}, {"lockstep", &cfg.lockstep}};
  for (int i = 2; i + 1 < argc; i += 2) {
    const char *name = argv[i] + 2; int known = 0;
    if (strcmp(name, "messages") == 0) { cfg.messages = atol(argv[i + 1]); continue; }
    if (strcmp(name, "rate") == 0) { cfg.rate = atof(argv[i + 1]); continue; }
    if (strcmp(name, "spread") == 0) { cfg.spread = argv[i + 1]; continue; }
    if (strcmp(name, "prefix") == 0) { cfg.prefix = argv[i + 1]; continue; }
    if (strcmp(name, "filter") == 0) { cfg.filter = argv[i + 1]; continue; }
    for (size_t k = 0; k < sizeof flags / sizeof *flags; k++)
      if (strcmp(name, flags[k].name) == 0) { *flags[k].into = atoi(argv[i + 1]); known = 1; }
    if (!known) usage();
  }
  if (cfg.payload < HEAD) die("a payload has %d bytes or more", HEAD);
  filler = malloc((size_t)cfg.payload); memset(filler, 'x', (size_t)cfg.payload);
  if (cfg.rate > 0) samples = malloc(MAX_SAMPLES * sizeof *samples);
#ifdef WITH_TLS
  tls = SSL_CTX_new(TLS_client_method()); SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
#else
  if (cfg.tls) die("built without TLS");
#endif
  epoll_fd = epoll_create1(0);
  if (strcmp(argv[1], "run") == 0) run();
  else if (strcmp(argv[1], "enqueue") == 0) enqueue();
  else if (strcmp(argv[1], "drain") == 0) { cfg.drain = 1; run(); }
  else if (strcmp(argv[1], "hold") == 0) hold();
  else if (strcmp(argv[1], "leave") == 0) leave();
  else if (strcmp(argv[1], "connect") == 0) connect_again();
  else if (strcmp(argv[1], "ask") == 0) ask();
  else usage();
  return 0;
}
