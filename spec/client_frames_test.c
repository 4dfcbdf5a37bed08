/* Frames that come to a client too large, garbled, byte by byte, or never whole. */
#include "fake_client.h"

/* ---- Lengths ------------------------------------------------------------------------------ */

/* Answers the first read with a page that is larger than any client takes, pings rightly. */
static size_t large_left;
static void is_too_large(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  if (large_left == 0) {
    fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
    return;
  }
  size_t mark = pump_tcp_frame_begin(&to->out, PUMP_TCP_READ_STREAM_FORWARD_COMPLETED,
                                     &frame->correlation, (pump_bytes){0}, (pump_bytes){0});
  uint32_t length = (uint32_t)large_left + PUMP_TCP_MIN_BODY;
  memcpy(to->out.data + mark, &length, sizeof length);
}

static void on_large(uv_idle_t *idle) {
  static const char zeros[65536];
  (void)idle;
  if (!server.has_peer || server.frames < 2 || large_left == 0) return;
  uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)zeros,
                               (unsigned)(large_left < sizeof zeros ? large_left : sizeof zeros));
  int sent = uv_try_write((uv_stream_t *)server.peer, &bytes, 1);
  if (sent > 0) large_left -= (size_t)sent;
}

static void a_frame_that_is_too_large(void) {
  answer connected, page = {0}, ponged = {0};
  pump_read read = {.max_count = 500};
  pump_bytes stream = {"big", 3};
  uv_idle_t idle;
  large_left = (size_t)PUMP_MAX_FRAME + 1000;
  fake_start(&server, &loop);
  server.on_frame = is_too_large;
  uv_idle_init(&loop, &idle);
  uv_idle_start(&idle, on_large);
  pump_options made = options();
  made.timeout = 20000;
  pump_client *client = connect_with(&made, &connected);
  pump_client_read_stream(client, stream, &read, NULL, take, &page);
  wait_for(&page);
  tap_ok(page.status == PUMP_ETOOLARGE && strstr(page.message, "fewer than 500"),
         "an answer over 64 MiB fails its question: %s", page.message);
  while (large_left > 0)
    uv_run(&loop, UV_RUN_ONCE);
  pump_client_ping(client, NULL, take, &ponged);
  wait_for(&ponged);
  tap_ok(ponged.status == 0, "and the connection lives on");
  uv_close((uv_handle_t *)&idle, NULL);
  close_all(client);
}

/* What is thrown away stands in front of all else: it holds the connection no longer than silence
 * would, however much of it comes. */
static void a_frame_that_is_thrown_away_for_ever(void) {
  answer connected, page = {0}, ponged = {0};
  pump_read read = {.max_count = 500};
  pump_bytes stream = {"big", 3};
  uv_idle_t idle;
  large_left = (size_t)INT32_MAX - 1000;
  fake_start(&server, &loop);
  server.on_frame = is_too_large;
  uv_idle_init(&loop, &idle);
  uv_idle_start(&idle, on_large);
  pump_options made = options();
  made.timeout = 20000;
  made.heartbeat_interval = 100;
  made.heartbeat_timeout = 100;
  made.retries = 0;
  pump_client *client = connect_with(&made, &connected);
  pump_client_read_stream(client, stream, &read, NULL, take, &page);
  wait_for(&page);
  pump_client_ping(client, NULL, take, &ponged);
  wait_for(&ponged);
  tap_ok(page.status == PUMP_ETOOLARGE && ponged.status == PUMP_ECLOSED &&
             strstr(ponged.message, "no whole frame"),
         "what is thrown away is no sign of life: %s", ponged.message);
  uv_close((uv_handle_t *)&idle, NULL);
  close_all(client);
}

/* A length of a GiB in front of the answer to a ping. */
static void garbles_a_length(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
  to->out.data[3] ^= 0x40;
}

static void a_garbled_length(void) {
  answer connected, ponged = {0};
  fake_start(&server, &loop);
  server.on_frame = garbles_a_length;
  pump_options made = options();
  made.timeout = 20000;
  made.retries = 0;
  pump_client *client = connect_with(&made, &connected);
  pump_client_ping(client, NULL, take, &ponged);
  wait_for(&ponged);
  tap_ok(ponged.status == PUMP_ECLOSED &&
             strstr(ponged.message, "it sent what no server sends (Package size is out of bounds"),
         "a length that no server sends ends the connection: %s", ponged.message);
  close_all(client);
}

/* ---- Everything in small pieces ----------------------------------------------------------- */

/* Its bytes come, but never a whole frame: a line that drips, or a length that was garbled. */
static uv_timer_t trickle;
static bool has_begun;

static void on_trickle(uv_timer_t *timer) {
  uv_buf_t byte = uv_buf_init("x", 1);
  (void)timer;
  if (server.has_peer && has_begun) uv_try_write((uv_stream_t *)server.peer, &byte, 1);
}

static void begins_a_frame(fake_server *to, const pump_tcp_frame *frame) {
  static const uint8_t head[] = {0, 0, 16, 0, PUMP_TCP_PONG, 0};
  if (frame->command == PUMP_TCP_IDENTIFY_CLIENT) fake_handshake(to, frame);
  if (frame->command != PUMP_TCP_PING) return;
  pump_buffer_append(&to->out, head, sizeof head);
  has_begun = true;
}

static void a_server_that_trickles_is_dead(void) {
  answer connected, ponged = {0};
  fake_start(&server, &loop);
  server.on_frame = begins_a_frame;
  uv_timer_init(&loop, &trickle);
  uv_timer_start(&trickle, on_trickle, 10, 10);
  pump_options made = options();
  made.heartbeat_interval = 150;
  made.heartbeat_timeout = 150;
  made.timeout = 20000;
  made.retries = 0;
  pump_client *client = connect_with(&made, &connected);
  pump_client_ping(client, NULL, take, &ponged);
  wait_for(&ponged);
  tap_ok(ponged.status == PUMP_ECLOSED && strstr(ponged.message, "no whole frame"),
         "bytes without a whole frame are no life: %s", ponged.message);
  uv_close((uv_handle_t *)&trickle, NULL);
  close_all(client);
}

/* Sends the bytes of an answer one by one, each in a turn of its own. */
static pump_buffer drip;
static size_t dripped;
static void drips(fake_server *to, const pump_tcp_frame *frame) {
  fake_handshake(to, frame) || (fake_reply(to, frame, PUMP_TCP_PONG, "pong", 4), true);
  pump_buffer_append(&drip, to->out.data, to->out.size);
  pump_buffer_clear(&to->out);
}

static void on_drip(uv_idle_t *idle) {
  (void)idle;
  if (server.has_peer && dripped < drip.size) {
    uv_buf_t byte = uv_buf_init((char *)drip.data + dripped, 1);
    if (uv_try_write((uv_stream_t *)server.peer, &byte, 1) == 1) dripped++;
  }
}

static void one_byte_at_a_time(void) {
  answer connected, ponged = {0};
  uv_idle_t idle;
  fake_start(&server, &loop);
  server.on_frame = drips;
  uv_idle_init(&loop, &idle);
  uv_idle_start(&idle, on_drip);
  pump_options made = options();
  pump_client *client = connect_with(&made, &connected);
  pump_client_ping(client, NULL, take, &ponged);
  wait_for(&ponged);
  tap_ok(connected.status == 0 && ponged.status == 0, "answers that come byte by byte");
  uv_close((uv_handle_t *)&idle, NULL);
  close_all(client);
  pump_buffer_free(&drip);
}

int main(void) {
  uv_loop_init(&loop);
  a_frame_that_is_too_large();
  a_frame_that_is_thrown_away_for_ever();
  a_garbled_length();
  a_server_that_trickles_is_dead();
  one_byte_at_a_time();
  uv_loop_close(&loop);
  return tap_done();
}
