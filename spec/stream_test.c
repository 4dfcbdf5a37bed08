/* Connecting by name: its addresses are tried in turn, and one that swallows everything costs a
 * moment, not all the time there is. The resolver is ours here. */
#include "tap.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/stream.h"

static const char *addresses[3]; /* of every name */

/* libuv finds this one before the system's. */
__attribute__((visibility("default"))) int getaddrinfo(const char *host, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **found) {
  struct addrinfo **last = found;
  (void)host, (void)hints;
  *found = NULL;
  for (int i = 0; i < 3 && addresses[i]; i++) {
    struct addrinfo *it = calloc(1, sizeof *it);
    struct sockaddr_in *address = calloc(1, sizeof *address);
    if (!it || !address) abort();
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)atoi(service));
    inet_pton(AF_INET, addresses[i], &address->sin_addr);
    *it = (struct addrinfo){.ai_family = AF_INET,
                            .ai_socktype = SOCK_STREAM,
                            .ai_addrlen = sizeof *address,
                            .ai_addr = (struct sockaddr *)address};
    *last = it;
    last = &it->ai_next;
  }
  return *found ? 0 : EAI_NONAME;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *first) {
  while (first) {
    struct addrinfo *next = first->ai_next;
    free(first->ai_addr);
    free(first);
    first = next;
  }
}

/* A socket that listens, and its port (any for 0). */
static int listen_at(const char *address, int *port, int backlog) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
  socklen_t size = sizeof place;
  inet_pton(AF_INET, address, &place.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd, (struct sockaddr *)&place, size) != 0 || listen(fd, backlog) != 0) return -1;
  getsockname(fd, (struct sockaddr *)&place, &size);
  *port = ntohs(place.sin_port);
  return fd;
}

/* With its line full, a socket that listens answers nobody any more. */
static void fill_line(const char *address, int port, int fds[4]) {
  struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, address, &place.sin_addr);
  for (int i = 0; i < 4; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fds[i], (struct sockaddr *)&place, sizeof place) != 0) continue;
  }
}

typedef struct outcome {
  int status;
  char message[200];
  bool is_over;
  bool is_closed;
} outcome;

static void on_connected(void *ud, int status, const char *message) {
  outcome *self = ud;
  self->status = status;
  self->is_over = true;
  snprintf(self->message, sizeof self->message, "%s", message);
}

static int on_space(void *ud, uint8_t **to, size_t *size) {
  static uint8_t bytes[16];
  (void)ud;
  *to = bytes;
  *size = sizeof bytes;
  return 0;
}

static void on_filled(void *ud, size_t size) {
  (void)ud, (void)size;
}

static void on_written(void *ud) {
  (void)ud;
}

static void on_ended(void *ud, int code, const char *reason) {
  (void)ud, (void)code, (void)reason;
}

static void on_closed(void *ud) {
  ((outcome *)ud)->is_closed = true;
}

static const pump_stream_events events = {on_connected, on_space, on_filled, on_written, on_ended};

/* Connects to the name, for so many ms at most. Returns how long it took. */
static uint64_t connect_to(int port, uint64_t limit, outcome *self) {
  uv_loop_t loop;
  pump_stream *stream;
  *self = (outcome){0};
  uv_loop_init(&loop);
  uint64_t began = uv_hrtime();
  if (pump_stream_connect(&stream, &loop, "some.name", port, &events, self) != 0) abort();
  while (!self->is_over && uv_hrtime() - began < limit * 1000000)
    uv_run(&loop, UV_RUN_NOWAIT);
  uint64_t took = (uv_hrtime() - began) / 1000000;
  pump_stream_close(stream, on_closed, self);
  uv_run(&loop, UV_RUN_DEFAULT);
  tap_ok(self->is_closed && uv_loop_close(&loop) == 0, "nothing is left behind");
  return took;
}

int main(void) {
  outcome got;
  int port = 0, mute_port, fds[4];
  int good = listen_at("127.0.0.2", &port, 10);
  addresses[0] = "127.0.0.1";
  addresses[1] = "127.0.0.2";
  connect_to(port, 5000, &got);
  tap_ok(got.is_over && got.status == 0, "an address that refuses is followed by the next (%s)",
         got.message);

  mute_port = port;
  int mute = listen_at("127.0.0.3", &mute_port, 0);
  fill_line("127.0.0.3", mute_port, fds);
  addresses[0] = "127.0.0.3";
  uint64_t took = connect_to(port, 20000, &got);
  tap_ok(got.is_over && got.status == 0 && took < 15000,
         "one that answers nothing is followed by the next (after %llu ms)",
         (unsigned long long)took);

  addresses[1] = "127.0.0.1";
  connect_to(port, 20000, &got);
  tap_ok(got.status == PUMP_ECONNECT && strcmp(got.message, "connection refused") == 0,
         "the last one's reason is told (%s)", got.message);

  addresses[1] = NULL;
  connect_to(port, 1500, &got);
  tap_ok(!got.is_over, "a single one is waited for, and given up by whoever waits");

  addresses[0] = NULL;
  connect_to(port, 5000, &got);
  tap_ok(got.status == PUMP_ECONNECT && *got.message, "a name without any: %s", got.message);
  for (int i = 0; i < 4; i++)
    close(fds[i]);
  close(mute);
  close(good);
  return tap_done();
}
