/* Connecting by name: its addresses are tried in turn, and one that swallows everything costs a
 * moment, not all the time there is. The resolver is ours here. */
#include "starve.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/stream.h"
#include "own_names.h"

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
  bool had_choice;
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

static bool is_at(const struct sockaddr_storage *place, const char *address) {
  char text[INET_ADDRSTRLEN] = "";
  const struct sockaddr_in *it = (const struct sockaddr_in *)(const void *)place;
  return inet_ntop(AF_INET, &it->sin_addr, text, sizeof text) && strcmp(text, address) == 0;
}

static struct sockaddr_storage behind; /* which address it begins */
static struct sockaddr_storage reached;

/* Connects to the name, for so many ms at most. Returns how long it took. */
static uint64_t connect_to(int port, uint64_t limit, outcome *self) {
  uv_loop_t loop;
  pump_stream *stream;
  *self = (outcome){0};
  uv_loop_init(&loop);
  uint64_t began = uv_hrtime();
  if (pump_stream_connect(&stream, &loop, "some.name", port, &behind, &events, self) != 0) abort();
  while (!self->is_over && uv_hrtime() - began < limit * 1000000)
    uv_run(&loop, UV_RUN_NOWAIT);
  uint64_t took = (uv_hrtime() - began) / 1000000;
  memset(&reached, 0, sizeof reached);
  self->had_choice = pump_stream_address(stream, &reached);
  pump_stream_close(stream, on_closed, self);
  uv_run(&loop, UV_RUN_DEFAULT);
  tap_ok(self->is_closed && uv_loop_close(&loop) == 0, "nothing is left behind");
  return took;
}

static void without_memory(void) {
  uv_loop_t loop;
  pump_stream *stream;
  int ends[2];
  uv_loop_init(&loop);
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
  starve_count = 0;
  starve_at = 1;
  int code = pump_stream_open(&stream, &loop, ends[0], &events, NULL);
  starve_at = 0;
  tap_ok(code == PUMP_ENOMEM && fcntl(ends[0], F_GETFD) < 0,
         "a socket that there is no memory for is closed");
  close(ends[1]);
  uv_loop_close(&loop);
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

  addresses[0] = "127.0.0.1";
  addresses[1] = "127.0.0.2";
  addresses[2] = "127.0.0.4";
  int other = listen_at("127.0.0.4", &port, 10);
  connect_to(port, 5000, &got);
  tap_ok(got.had_choice && is_at(&reached, "127.0.0.2"), "the address that it came to is told");
  behind = reached;
  connect_to(port, 5000, &got);
  tap_ok(got.status == 0 && is_at(&reached, "127.0.0.4"), "one behind it comes first then");
  behind = reached;
  connect_to(port, 5000, &got);
  tap_ok(got.status == 0 && is_at(&reached, "127.0.0.2"), "and behind the last the first again");
  memset(&behind, 0, sizeof behind);
  close(other);

  addresses[0] = "127.0.0.3";
  addresses[1] = addresses[2] = NULL;
  connect_to(port, 1500, &got);
  tap_ok(!got.had_choice, "a name with one address leaves no choice");
  tap_ok(!got.is_over, "a single one is waited for, and given up by whoever waits");

  addresses[0] = NULL;
  connect_to(port, 5000, &got);
  tap_ok(got.status == PUMP_ECONNECT && *got.message, "a name without any: %s", got.message);
  for (int i = 0; i < 4; i++)
    close(fds[i]);
  close(mute);
  close(good);
  without_memory();
  return tap_done();
}
