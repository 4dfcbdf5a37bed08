/* Discovery without memory: whichever allocation fails, the question is answered in time, by the
 * members or by why there are none, and nothing is left behind. */
#include "slow.h"
#include "starve.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include <pump.h>

/* ---- A member that tells gossip ----------------------------------------------------------- */

static const char gossip[] =
    "{\"members\":[{\"instanceId\":\"x\",\"state\":\"Leader\",\"isAlive\":true,"
    "\"externalTcpIp\":\"127.0.0.1\",\"externalTcpPort\":1113,"
    "\"httpEndPointIp\":\"localhost\",\"httpEndPointPort\":2113}]}";

typedef struct guest {
  uv_tcp_t socket;
  uv_write_t write;
  bool is_taken;
} guest;

static uv_loop_t loop;
static uv_tcp_t server;
static guest guests[64];
static int port;

static void on_guest_gone(uv_handle_t *handle) {
  ((guest *)(void *)handle)->is_taken = false;
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  static char bytes[4096];
  (void)handle, (void)suggested;
  *buffer = uv_buf_init(bytes, sizeof bytes);
}

static void on_said(uv_write_t *request, int status) {
  (void)status;
  uv_close((uv_handle_t *)request->handle, on_guest_gone);
}

/* Connections that a program started now would have, too. */
static int inherited;

static void count_inherited(void) {
  for (int fd = 3; fd < 256; fd++) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || (flags & FD_CLOEXEC)) continue;
    inherited += getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.ss_family == AF_INET;
  }
}

static void on_asked(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  static char answer[1024];
  guest *one = (guest *)(void *)stream;
  if (size < 0) {
    if (!uv_is_closing((uv_handle_t *)stream)) uv_close((uv_handle_t *)stream, on_guest_gone);
    return;
  }
  int length = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        strlen(gossip), gossip);
  if (size < 4 || memcmp(buffer->base, "GET ", 4) != 0) return; /* it waits for the end of a line */
  uv_buf_t bytes = uv_buf_init(answer, (unsigned)length);
  count_inherited();
  uv_read_stop(stream);
  uv_write(&one->write, stream, &bytes, 1, on_said);
}

static void on_guest(uv_stream_t *stream, int status) {
  (void)status;
  for (size_t i = 0; i < sizeof guests / sizeof *guests; i++) {
    guest *one = &guests[i];
    if (one->is_taken) continue;
    one->is_taken = true;
    uv_tcp_init(&loop, &one->socket);
    uv_accept(stream, (uv_stream_t *)&one->socket);
    uv_read_start((uv_stream_t *)&one->socket, on_space, on_asked);
    return;
  }
}

static void serve(void) {
  struct sockaddr_in place;
  struct sockaddr_storage bound;
  int size = sizeof bound;
  uv_tcp_init(&loop, &server);
  uv_ip4_addr("127.0.0.1", 0, &place);
  uv_tcp_bind(&server, (const struct sockaddr *)&place, 0);
  uv_listen((uv_stream_t *)&server, 16, on_guest);
  uv_tcp_getsockname(&server, (struct sockaddr *)&bound, &size);
  port = (bound.ss_family == AF_INET) * ntohs(((struct sockaddr_in *)&bound)->sin_port);
  uv_unref((uv_handle_t *)&server);
}

/* ---- Asking ------------------------------------------------------------------------------- */

typedef struct outcome {
  int status;
  int answers;
  size_t members;
  bool is_closed;
} outcome;

static void on_members(pump_client *client, const pump_result *result, void *ud) {
  outcome *self = ud;
  (void)client;
  self->answers++;
  self->status = result->status;
  self->members = result->members ? result->members->count : 0;
}

static void on_closed(void *ud) {
  ((outcome *)ud)->is_closed = true;
}

/* One question, with that allocation failed. False: something was wrong. */
static bool ask(long at, outcome *self, bool *was_reached) {
  char seeds[80];
  pump_client *client;
  pump_options options;
  pump_call call = {.timeout = 600 * (uint64_t)slowness()};
  *self = (outcome){0};
  snprintf(seeds, sizeof seeds, "localhost:%d,127.0.0.1:1", port);
  pump_options_init(&options);
  options.seeds = seeds;
  starve_count = 0;
  starve_at = at;
  int code = pump_client_new(&client, &loop, &options);
  if (code == 0) {
    code = pump_client_members(client, &call, on_members, self);
    uint64_t limit = uv_hrtime() + UINT64_C(20000000000);
    while (code == 0 && self->answers == 0 && uv_hrtime() < limit)
      uv_run(&loop, UV_RUN_ONCE);
    pump_client_close(client, on_closed, self);
    while (!self->is_closed)
      uv_run(&loop, UV_RUN_ONCE);
    uv_run(&loop, UV_RUN_DEFAULT);
  }
  *was_reached = starve_count >= at;
  starve_at = 0;
  if (code != 0) return code == PUMP_ENOMEM && self->answers == 0;
  bool is_told = self->status == 0 && self->members == 1;
  return self->answers == 1 &&
         (is_told || self->status == PUMP_EDISCOVERY || self->status == PUMP_ENOMEM);
}

/* One who waits for the end of a line takes what TLS says, and says nothing. */
static void ask_one_that_is_silent_to_tls(void) {
  char seeds[80];
  outcome self = {0};
  pump_client *client;
  pump_options options;
  pump_options_init(&options);
  options.tls.enable = true;
  options.tls.verify = false;
  snprintf(seeds, sizeof seeds, "localhost:%d", port);
  options.seeds = seeds;
  pump_call call = {.timeout = 2000 * (uint64_t)slowness()};
  tap_ok(pump_client_new(&client, &loop, &options) == 0, "a client with TLS");
  pump_client_members(client, &call, on_members, &self);
  while (self.answers == 0)
    uv_run(&loop, UV_RUN_ONCE);
  tap_ok(self.status == 0 && self.members == 1, "gossip of one who is silent to TLS");
  pump_client_close(client, NULL, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
}

int main(void) {
  long told = 0, untold = 0, wrong = 0, at, growth = 0;
  bool was_reached;
  outcome self;
  uv_loop_init(&loop);
  serve();
  /* Texts that strdup makes are freed uncounted: the run in which nothing fails says how many. */
  for (at = 0; wrong == 0; at++) {
    long alive = starve_alive;
    if (!ask(at, &self, &was_reached)) wrong = at;
    if (at == 0) growth = starve_alive - alive;
    if (starve_alive - alive != growth && self.answers > 0) wrong = at;
    if (at == 0) tap_ok(self.members == 1, "a seed tells who the members are");
    if (at > 0 && !was_reached) break;
    self.members == 1 ? told++ : untold++;
  }
  tap_ok(wrong == 0 && at > 10,
         "of %ld allocations each failed in turn (wrong: %ld): members told %ld times, not %ld",
         at - 1, wrong, told, untold);
  tap_ok(inherited == 0, "what the program starts meanwhile has none of its connections");
  ask_one_that_is_silent_to_tls();
  uv_close((uv_handle_t *)&server, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  tap_ok(uv_loop_close(&loop) == 0, "nothing is left on the loop");
  return tap_done();
}
