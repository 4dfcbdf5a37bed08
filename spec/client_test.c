/* The client against servers that behave as a spec tells them to. */
#include <unistd.h>

#include "fake_client.h"
#include "wire/protobuf.h"

/* ---- Connecting --------------------------------------------------------------------------- */

static void speaks_http(fake_server *to) {
  pump_buffer_text(&to->out, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static void speaks_noise(fake_server *to) {
  pump_buffer_text(&to->out, "\xff\xfe\xfd\xfc noise noise noise noise noise noise");
}

static void hangs_up(fake_server *to) {
  to->hang_up = true;
}

static void refuses_login(fake_server *to, const pump_tcp_frame *frame) {
  if (frame->command == PUMP_TCP_AUTHENTICATE)
    fake_reply(to, frame, PUMP_TCP_NOT_AUTHENTICATED, "Unauthorized", 12);
  else
    fake_handshake(to, frame);
}

/* It is asked again after 250 ms. */
static int checks;
static void cannot_check(fake_server *to, const pump_tcp_frame *frame) {
  if (frame->command == PUMP_TCP_AUTHENTICATE && checks-- > 0)
    fake_reply(to, frame, PUMP_TCP_NOT_AUTHENTICATED, "Internal Server Error", 21);
  else
    fake_handshake(to, frame);
}

static void is_ready_the_second_time(fake_server *to, const pump_tcp_frame *frame) {
  if (frame->command == PUMP_TCP_IDENTIFY_CLIENT && to->frames == 1)
    fake_reply(to, frame, PUMP_TCP_NOT_HANDLED, "\x08\x00", 2);
  else
    fake_handshake(to, frame);
}

static void connecting(const char *what, void (*on_connection)(fake_server *),
                       void (*on_frame)(fake_server *, const pump_tcp_frame *), const char *user,
                       int status, const char *words) {
  answer connected;
  fake_start(&server, &loop);
  server.on_connection = on_connection;
  server.on_frame = on_frame;
  pump_options made = options();
  made.username = user;
  made.password = user ? "nope" : NULL;
  pump_client *client = connect_with(&made, &connected);
  tap_ok(connected.count == 1 && connected.status == status &&
             strstr(connected.message, words) != NULL && !strchr(connected.message, '\n'),
         "%s: %s, %s", what, pump_error_name(connected.status), connected.message);
  close_all(client);
}

static void a_closed_port(void) {
  answer connected;
  fake_start(&server, &loop);
  pump_options made = options();
  fake_stop(&server);
  uv_run(&loop, UV_RUN_NOWAIT);
  pump_client *client = connect_with(&made, &connected);
  tap_ok(connected.status == PUMP_ECONNECT && strstr(connected.message, "refused"),
         "a closed port: %s", connected.message);
  fake_start(&server, &loop);
  close_all(client);
}

static answer again;
static void connects_again(pump_client *client, const pump_result *result, void *ud) {
  take(client, result, ud);
  pump_client_connect(client, take, &again);
}

static void connecting_again_in_a_callback(void) {
  answer first = {0}, asked = {0};
  pump_client *client;
  fake_start(&server, &loop);
  pump_options made = options();
  fake_stop(&server);
  uv_run(&loop, UV_RUN_NOWAIT);
  pump_client_new(&client, &loop, &made);
  pump_client_connect(client, take, &first);
  pump_client_ping(client, NULL, connects_again, &asked);
  wait_for(&again);
  tap_ok(asked.count == 1 && first.count == 1 && first.status == PUMP_ECONNECT,
         "a request that fails with the connect may connect again, and the first is answered");
  tap_ok(again.count == 1 && again.status == PUMP_ECONNECT, "and so is the second");
  fake_start(&server, &loop);
  close_all(client);
}

static void closing_while_connecting(void) {
  answer connected = {0};
  pump_client *client;
  fake_start(&server, &loop);
  pump_options made = options();
  pump_client_new(&client, &loop, &made);
  pump_client_connect(client, take, &connected);
  close_all(client);
  tap_ok(connected.count == 1 && connected.status == PUMP_ECLOSED,
         "closing answers a connect that is under way, once");
}

/* ---- Requests ----------------------------------------------------------------------------- */

/* What the server answers a ping with, whatever it is. */
static uint8_t ping_answer;
static const char *ping_body;
static size_t ping_size;

static void answers_pings(fake_server *to, const pump_tcp_frame *frame) {
  if (!fake_handshake(to, frame) && ping_answer != 0)
    fake_reply(to, frame, ping_answer, ping_body, ping_size);
}

static void a_ping_answered_with(const char *what, uint8_t command, const char *body, size_t size,
                                 int status) {
  answer connected, ponged = {0};
  ping_answer = command;
  ping_body = body;
  ping_size = size;
  fake_start(&server, &loop);
  server.on_frame = answers_pings;
  pump_options made = options();
  pump_client *client = connect_with(&made, &connected);
  pump_client_ping(client, NULL, take, &ponged);
  tap_ok(ponged.count == 0, "%s: nothing is answered from inside the call", what);
  wait_for(&ponged);
  tap_ok(ponged.count == 1 && ponged.status == status, "%s: %s, %s", what,
         pump_error_name(ponged.status), ponged.message);
  tap_ok(pump_client_state(client) == PUMP_STATE_CONNECTED, "%s: the connection lives on", what);
  close_all(client);
}

/* Frames that no client asked for, before the answer that it waits for. */
static void talks_nonsense(fake_server *to, const pump_tcp_frame *frame) {
  static const pump_tcp_correlation stranger = {{1, 2, 3}};
  if (fake_handshake(to, frame)) return;
  pump_tcp_frame odd = {.correlation = stranger};
  fake_reply(to, &odd, PUMP_TCP_PONG, NULL, 0);
  fake_reply(to, &odd, 0x99, "?", 1);
  fake_reply(to, &odd, PUMP_TCP_STREAM_EVENT_APPEARED, "\xff\xff", 2);
  size_t mark =
      pump_tcp_frame_begin(&to->out, PUMP_TCP_PONG, &stranger, (pump_bytes){0}, (pump_bytes){0});
  to->out.data[mark + 5] = PUMP_TCP_FLAG_AUTHENTICATED; /* and no login behind it */
  pump_tcp_frame_end(&to->out, mark);
  fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
  fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0); /* twice */
}

static void nonsense_is_dropped(void) {
  answer connected, ponged = {0};
  fake_start(&server, &loop);
  server.on_frame = talks_nonsense;
  pump_options made = options();
  pump_client *client = connect_with(&made, &connected);
  for (int i = 0; i < 3; i++) {
    ponged = (answer){0};
    pump_client_ping(client, NULL, take, &ponged);
    wait_for(&ponged);
    tap_ok(ponged.count == 1 && ponged.status == 0, "ping %d among odd frames", i + 1);
  }
  close_all(client);
}

static void refuses_all(fake_server *to, const pump_tcp_frame *frame) {
  static const pump_tcp_correlation nobody;
  if (fake_handshake(to, frame)) return;
  pump_tcp_frame whole = {.correlation = nobody};
  fake_reply(to, &whole, PUMP_TCP_BAD_REQUEST, "Invalid TCP frame received.", 27);
  to->hang_up = true;
}

static answer lost;
static void on_lost(pump_client *client, int code, const char *reason, void *ud) {
  (void)client;
  (void)ud;
  lost.count++;
  lost.status = code;
  snprintf(lost.message, sizeof lost.message, "%s", reason);
}

static void a_refused_connection(void) {
  answer connected, first = {0}, second = {0};
  fake_start(&server, &loop);
  server.on_frame = refuses_all;
  pump_options made = options();
  made.reconnect_attempts = 0;
  pump_client *client = connect_with(&made, &connected);
  lost = (answer){0};
  pump_client_on_disconnected(client, on_lost, NULL);
  pump_client_ping(client, NULL, take, &first);
  pump_client_ping(client, NULL, take, &second);
  wait_for(&second);
  tap_ok(first.status == PUMP_ECLOSED && second.status == PUMP_ECLOSED && first.count == 1 &&
             second.count == 1,
         "a refused connection answers everybody who waits: %s", first.message);
  tap_ok(lost.count == 1 && strstr(lost.message, "Invalid TCP frame received."),
         "and the server's words are the reason: %s", lost.message);
  tap_ok(pump_client_ping(client, NULL, take, &first) == PUMP_ECLOSED, "then it is closed");
  server.on_frame = answers_pings;
  ping_answer = PUMP_TCP_PONG;
  connected = (answer){0};
  tap_ok(pump_client_connect(client, take, &connected) == 0, "and may connect again");
  wait_for(&connected);
  first = (answer){0};
  pump_client_ping(client, NULL, take, &first);
  wait_for(&first);
  tap_ok(connected.status == 0 && first.status == 0, "to the same server");
  close_all(client);
}

static void limits_hold(void) {
  answer connected, answers[12] = {0};
  ping_answer = 0;
  fake_start(&server, &loop);
  server.on_frame = answers_pings;
  pump_options made = options();
  made.max_in_flight = 2;
  made.max_queued = 10;
  pump_client *client = connect_with(&made, &connected);
  int handshake = server.frames;
  int refused = 0;
  for (int i = 0; i < 12; i++)
    refused += pump_client_ping(client, NULL, take, &answers[i]) == PUMP_EBUSY;
  tap_ok(refused == 2, "of 12 requests a line of 10 refuses 2");
  for (int i = 0; i < 20; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
  tap_ok(server.frames - handshake == 2, "2 are in flight");
  wait_for(&answers[0]);
  tap_ok(answers[0].status == PUMP_ETIMEOUT, "each has its deadline, sent or not: %s",
         answers[0].message);
  while (answers[9].count == 0 && uv_run(&loop, UV_RUN_ONCE))
    ;
  int timed_out = 0;
  for (int i = 0; i < 10; i++)
    timed_out += answers[i].count == 1 && answers[i].status == PUMP_ETIMEOUT;
  tap_ok(timed_out == 10, "all 10 were answered once");
  close_all(client);
}

static int batches;
static void counts_chunks(fake_server *to, const pump_tcp_frame *frame) {
  answers_pings(to, frame);
  batches++;
}

static void many_are_in_flight(void) {
  enum { MANY = 5000 };
  static answer answers[MANY];
  answer connected;
  ping_answer = PUMP_TCP_PONG;
  ping_body = NULL;
  ping_size = 0;
  fake_start(&server, &loop);
  server.on_frame = counts_chunks;
  pump_options made = options();
  made.max_in_flight = MANY;
  made.timeout = 5000;
  pump_client *client = connect_with(&made, &connected);
  batches = 0;
  for (int i = 0; i < MANY; i++)
    pump_client_ping(client, NULL, take, &answers[i]);
  int answered = 0;
  while (answered < MANY && uv_run(&loop, UV_RUN_ONCE))
    for (answered = 0; answered < MANY && answers[answered].count == 1; answered++)
      ;
  tap_ok(answered == MANY, "%d requests in flight at once are all answered", answered);
  tap_ok(batches == MANY, "each reached the server once");
  close_all(client);
}

static void closing_answers_everybody(void) {
  answer connected, answers[5] = {0};
  ping_answer = 0;
  fake_start(&server, &loop);
  server.on_frame = answers_pings;
  pump_options made = options();
  made.max_in_flight = 2;
  pump_client *client = connect_with(&made, &connected);
  for (int i = 0; i < 5; i++)
    pump_client_ping(client, NULL, take, &answers[i]);
  for (int i = 0; i < 5; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
  close_all(client);
  int closed = 0;
  for (int i = 0; i < 5; i++)
    closed += answers[i].count == 1 && answers[i].status == PUMP_ECLOSED;
  tap_ok(closed == 5, "closing answers what waits, sent or not");
}

static void busy_at_first(fake_server *to, const pump_tcp_frame *frame) {
  if (fake_handshake(to, frame)) return;
  if (to->frames < 4)
    fake_reply(to, frame, PUMP_TCP_NOT_HANDLED, "\x08\x01", 2);
  else
    fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
}

static void busy_is_waited_out(void) {
  answer connected, ponged = {0};
  fake_start(&server, &loop);
  server.on_frame = busy_at_first;
  pump_options made = options();
  pump_client *client = connect_with(&made, &connected);
  pump_client_ping(client, NULL, take, &ponged);
  wait_for(&ponged);
  tap_ok(ponged.status == 0 && server.frames == 4, "a server too busy twice is asked three times");
  close_all(client);
}

/* More comes than is read at once, all the time: frames that say nothing, and between two of them
 * the answer to a ping. */
static struct {
  pump_buffer frames;
  size_t sent;
  pump_tcp_frame ping;
} flood;

static void floods(fake_server *to, const pump_tcp_frame *frame) {
  if (frame->command == PUMP_TCP_IDENTIFY_CLIENT) fake_handshake(to, frame);
  if (frame->command == PUMP_TCP_PING) flood.ping = *frame;
}

static void on_flood(uv_idle_t *idle) {
  (void)idle;
  int sent = 0;
  while (server.has_peer && server.frames > 1 && sent >= 0) {
    if (flood.sent == 0 && flood.ping.command != 0) {
      fake_reply(&server, &flood.ping, PUMP_TCP_PONG, NULL, 0);
      flood.ping.command = 0;
      fake_flush(&server);
    }
    uv_buf_t rest = uv_buf_init((char *)flood.frames.data + flood.sent,
                                (unsigned)(flood.frames.size - flood.sent));
    sent = uv_try_write((uv_stream_t *)server.peer, &rest, 1);
    if (sent > 0) flood.sent = (flood.sent + (size_t)sent) % flood.frames.size;
  }
}

/* Pages are asked for a few at a time while more comes than can be read; what stands behind them in
 * line has to be asked, too, where none of them comes. */
static void slow_pages_hold_up_nobody(void) {
  static char zeros[4000];
  answer connected, pages = {0}, ponged = {0};
  pump_read read = {.max_count = 4000};
  pump_tcp_frame silence = {.command = PUMP_TCP_HEARTBEAT_RESPONSE};
  uv_idle_t idle;
  fake_start(&server, &loop);
  for (int i = 0; i < 16; i++)
    pump_tcp_frame_write(&flood.frames, silence.command, &silence.correlation, (pump_bytes){0},
                         (pump_bytes){0}, (pump_bytes){zeros, sizeof zeros});
  server.on_frame = floods;
  uv_idle_init(&loop, &idle);
  uv_idle_start(&idle, on_flood);
  pump_options made = options();
  made.timeout = 60000;
  pump_client *client = connect_with(&made, &connected);
  for (int i = 0; i < 30; i++)
    pump_client_read_stream(client, (pump_bytes){"s", 1}, &read, NULL, take, &pages);
  pump_call call = {.timeout = 5000 * (uint64_t)slowness()};
  pump_client_ping(client, &call, take, &ponged);
  wait_for(&ponged);
  tap_ok(ponged.status == 0 && pages.count == 0,
         "pages that do not come hold up nobody, though much else comes (%s)", ponged.message);
  uv_close((uv_handle_t *)&idle, NULL);
  close_all(client);
  pump_buffer_free(&flood.frames);
}

static void a_silent_server_is_dead(void) {
  answer connected;
  ping_answer = 0;
  fake_start(&server, &loop);
  server.on_frame = answers_pings;
  pump_options made = options();
  made.heartbeat_interval = 50;
  made.heartbeat_timeout = 50;
  pump_client *client = connect_with(&made, &connected);
  lost = (answer){0};
  pump_client_on_disconnected(client, on_lost, NULL);
  uint64_t until = uv_hrtime() + UINT64_C(300000000);
  while (uv_hrtime() < until)
    uv_run(&loop, UV_RUN_ONCE);
  tap_ok(lost.count == 0 && server.frames > 3, "heartbeats that are answered keep it alive");
  uv_read_stop((uv_stream_t *)server.peer);
  wait_for(&lost);
  tap_ok(lost.count == 1 && strstr(lost.message, "no sign of life"), "silence ends it: %s",
         lost.message);
  close_all(client);
}

int main(void) {
  uv_loop_init(&loop);
  connecting("a server that hangs", NULL, NULL, NULL, PUMP_ETIMEOUT,
             "did not answer within 300 ms");
  connecting("an HTTP server", speaks_http, NULL, NULL, PUMP_EPROTOCOL, "it speaks HTTP");
  connecting("random bytes", speaks_noise, NULL, NULL, PUMP_EPROTOCOL, "does not speak EventStore");
  connecting("a server that hangs up", hangs_up, NULL, NULL, PUMP_ECONNECT,
             "closed the connection");
  connecting("a refused login", NULL, refuses_login, "admin", PUMP_ENOTAUTHENTICATED,
             "Unauthorized");
  checks = 1;
  connecting("a server that cannot check a password at first", NULL, cannot_check, "admin", 0, "");
  checks = 100;
  connecting(
      "a server that cannot check any", NULL, cannot_check, "admin", PUMP_ETIMEOUT,
      "did not let us in within 300 ms: the server is not ready yet (Internal Server Error)");
  connecting("a server that starts", NULL, is_ready_the_second_time, NULL, 0, "");
  a_closed_port();
  connecting_again_in_a_callback();
  closing_while_connecting();
  a_ping_answered_with("a pong", PUMP_TCP_PONG, "", 0, 0);
  a_ping_answered_with("BadRequest", PUMP_TCP_BAD_REQUEST, "what?\nstack", 11, PUMP_EBADREQUEST);
  a_ping_answered_with("NotAuthenticated", PUMP_TCP_NOT_AUTHENTICATED, "no", 2,
                       PUMP_ENOTAUTHENTICATED);
  a_ping_answered_with("another answer", PUMP_TCP_CLIENT_IDENTIFIED, "", 0, PUMP_EPROTOCOL);
  a_ping_answered_with("an unknown command", 0x99, "", 0, PUMP_EPROTOCOL);
  a_ping_answered_with("read only", PUMP_TCP_NOT_HANDLED, "\x08\x03", 2, PUMP_ENOTHANDLED);
  a_ping_answered_with("not leader", PUMP_TCP_NOT_HANDLED,
                       "\x08\x02\x12\x0a\x0a\x05ponyx\x10\xd9\x08", 14, PUMP_ENOTLEADER);
  a_ping_answered_with("silence", 0, NULL, 0, PUMP_ETIMEOUT);
  nonsense_is_dropped();
  a_refused_connection();
  limits_hold();
  many_are_in_flight();
  closing_answers_everybody();
  busy_is_waited_out();
  slow_pages_hold_up_nobody();
  a_silent_server_is_dead();
  uv_loop_close(&loop);
  return tap_done();
}
