/* What a client does not let grow: its line, its output, its times. */
#include "tap.h"

#include <stdio.h>

#include <pump.h>
#include "fake_server.h"

static uv_loop_t loop;
static fake_server server;
static int answered, connected, lost;
static char words[300];

static void count(pump_client *client, const pump_result *result, void *ud) {
  (void)client, (void)result;
  ++*(int *)ud;
}

static void on_lost(pump_client *client, int code, const char *reason, void *ud) {
  (void)client, (void)code, (void)ud;
  lost++;
  snprintf(words, sizeof words, "%s", reason);
}

static pump_options options(void) {
  pump_options made;
  pump_options_init(&made);
  made.port = server.port;
  made.reconnect_attempts = 0;
  return made;
}

static pump_client *connect_with(const pump_options *made) {
  pump_client *client;
  connected = 0;
  pump_client_new(&client, &loop, made);
  pump_client_on_disconnected(client, on_lost, NULL);
  pump_client_connect(client, count, &connected);
  fake_until(&loop, &connected, 1);
  return client;
}

static void close_all(pump_client *client) {
  pump_client_close(client, NULL, NULL);
  fake_stop(&server);
  uv_run(&loop, UV_RUN_DEFAULT);
}

/* ---- The line ----------------------------------------------------------------------------- */

static int refusals;
static void is_too_busy(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  fake_reply(to, frame, PUMP_TCP_NOT_HANDLED, "\x08\x01", 2);
  refusals++;
}

static void who_is_to_be_asked_again_is_in_line(void) {
  fake_start(&server, &loop);
  server.on_frame = is_too_busy;
  pump_options made = options();
  made.max_queued = 3;
  pump_client *client = connect_with(&made);
  int accepted = 0, code = 0;
  answered = refusals = 0;
  for (int i = 1; code == 0 && i <= 10; i++) {
    code = pump_client_ping(client, NULL, count, &answered);
    accepted += code == 0;
    if (code == 0) fake_until(&loop, &refusals, i);
    uv_run(&loop, UV_RUN_ONCE);
  }
  /* One may be on its way just when the next one comes. */
  tap_ok(code == PUMP_EBUSY && accepted <= 5, "of those that a busy server refuses %d wait",
         accepted);
  close_all(client);
  tap_ok(answered == accepted, "and all of them are answered");
}

/* ---- The output --------------------------------------------------------------------------- */

/* A peer that reads nothing more once it has begun to send heartbeats. */
static void floods(fake_server *to, const pump_tcp_frame *frame) {
  if (!fake_handshake(to, frame)) return;
  uv_read_stop((uv_stream_t *)to->peer);
}

static void on_flooded(uv_write_t *request, int status) {
  *(int *)request->data = status == 0 ? 1 : -1;
}

static void who_takes_nothing_is_left(void) {
  enum { FRAMES = 4500000 };
  static const pump_tcp_correlation id = {{1}};
  pump_buffer flood = {0};
  fake_start(&server, &loop);
  server.on_frame = floods;
  pump_options made = options();
  pump_client *client = connect_with(&made);
  for (int i = 0; i < FRAMES; i++)
    pump_tcp_frame_write(&flood, PUMP_TCP_HEARTBEAT_REQUEST, &id, (pump_bytes){0}, (pump_bytes){0},
                         (pump_bytes){0});
  uv_buf_t bytes = uv_buf_init((char *)flood.data, (unsigned)flood.size);
  int written = 0;
  lost = 0;
  server.write.data = &written;
  uv_write(&server.write, (uv_stream_t *)server.peer, &bytes, 1, on_flooded);
  for (int i = 0; i < 12 && lost == 0; i++) /* a busy machine takes its time for so much */
    fake_until(&loop, &lost, 1);
  tap_ok(lost == 1 && strstr(words, "takes nothing"), "who goes on and takes nothing is left: %s",
         words);
  close_all(client);
  pump_buffer_free(&flood);
}

/* ---- Times -------------------------------------------------------------------------------- */

static void answers(fake_server *to, const pump_tcp_frame *frame) {
  if (!fake_handshake(to, frame)) fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
}

static void times_may_be_for_ever(void) {
  fake_start(&server, &loop);
  server.on_frame = answers;
  pump_options made = options();
  made.timeout = made.connect_timeout = UINT64_MAX;
  made.heartbeat_interval = made.heartbeat_timeout = UINT64_MAX;
  pump_client *client = connect_with(&made);
  answered = lost = 0;
  pump_client_ping(client, NULL, count, &answered);
  fake_until(&loop, &answered, 1);
  fake_turn(&loop, 50);
  tap_ok(pump_client_state(client) == PUMP_STATE_CONNECTED && answered == 1 && lost == 0,
         "times for ever are no times that are over");
  tap_ok(server.frames == 2, "and nobody is asked for life all the time");
  close_all(client);
}

/* ---- What makes no sense ------------------------------------------------------------------ */

static void streams_have_no_filter(void) {
  pump_bytes prefix = {"p", 1};
  pump_read read = {.max_count = 1, .filter = {.texts = &prefix, .count = 1}};
  fake_start(&server, &loop);
  server.on_frame = answers;
  pump_options made = options();
  pump_client *client = connect_with(&made);
  answered = 0;
  tap_ok(pump_client_read_stream(client, prefix, &read, NULL, count, &answered) == PUMP_EINVALID,
         "a filter is of $all, and refused elsewhere");
  close_all(client);
}

int main(void) {
  uv_loop_init(&loop);
  who_is_to_be_asked_again_is_in_line();
  who_takes_nothing_is_left();
  times_may_be_for_ever();
  streams_have_no_filter();
  tap_ok(uv_loop_close(&loop) == 0, "nothing is left on the loop");
  return tap_done();
}
