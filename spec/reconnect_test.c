/* Reconnection against a server that cuts connections wherever a spec wants it to: what is asked
 * again, in which order, until when; how long the client waits; and that nothing is left behind. */
#include "starve.h"

#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "client/reconnect.h"
#include "fake_server.h"
#include "wire/protobuf.h"

static uv_loop_t loop;
static fake_server server;

/* ---- A program ---------------------------------------------------------------------------- */

enum { MOST = 64 };

typedef struct program {
  pump_client *client;
  int connects, answers, right;
  int status; /* of the last failure */
  int order[MOST], answered[MOST];
  char message[600], reason[600];
  int connections, losses, attempts, ends;
  unsigned highest; /* attempt */
  unsigned closes_at;
  uint64_t longest;      /* delay */
  bool is_closed, broke; /* the delay was longer than its limit */
  const char *closes_in; /* name of the callback that closes the client */
  pump_options options;
} program;

typedef struct question {
  program *owner;
  int number;
} question;

static question questions[MOST];

static void on_closed(void *ud) {
  *(bool *)ud = true;
}

static void close_in(program *self, const char *name) {
  if (!self->closes_in || strcmp(self->closes_in, name) != 0) return;
  pump_client_close(self->client, on_closed, &self->is_closed);
  self->client = NULL;
}

static void note(program *self, const pump_result *result) {
  if (result->status == 0) return;
  self->status = result->status;
  snprintf(self->message, sizeof self->message, "%s", result->message);
}

static void on_connect(pump_client *client, const pump_result *result, void *ud) {
  program *self = ud;
  (void)client;
  self->connects++;
  note(self, result);
}

static void on_answer(pump_client *client, const pump_result *result, void *ud) {
  const question *asked = ud;
  program *self = asked->owner;
  (void)client;
  self->answered[asked->number]++;
  if (self->answers < MOST) self->order[self->answers] = asked->number;
  self->answers++;
  self->right += result->status == 0;
  note(self, result);
  close_in(self, "answer");
}

static void on_connected(pump_client *client, void *ud) {
  program *self = ud;
  (void)client;
  self->connections++;
  if (self->connections > 1) close_in(self, "connected");
}

static void on_lost(pump_client *client, int code, const char *reason, void *ud) {
  program *self = ud;
  (void)client, (void)code;
  self->losses++;
  snprintf(self->reason, sizeof self->reason, "%s", reason);
  close_in(self, "lost");
}

static void on_attempt(pump_client *client, unsigned attempt, uint64_t delay, void *ud) {
  program *self = ud;
  (void)client;
  self->attempts++;
  if (attempt > self->highest) self->highest = attempt;
  if (delay > self->longest) self->longest = delay;
  if (delay > pump_reconnect_limit(&self->options, attempt)) self->broke = true;
  if (attempt == self->closes_at) close_in(self, "attempt");
}

static void on_end(pump_client *client, int code, const char *reason, void *ud) {
  program *self = ud;
  (void)client;
  self->ends++;
  self->status = code;
  snprintf(self->reason, sizeof self->reason, "%s", reason);
  close_in(self, "end");
}

static void prepare(program *self) {
  *self = (program){0};
  pump_options_init(&self->options);
  self->options.port = server.port;
  self->options.timeout = 2000;
  self->options.connect_timeout = 500;
  self->options.reconnect_delay = 4;
  self->options.reconnect_max_delay = 20;
}

static int open_client(program *self) {
  int code = pump_client_new(&self->client, &loop, &self->options);
  if (code != 0) return code;
  pump_client_on_connected(self->client, on_connected, self);
  pump_client_on_disconnected(self->client, on_lost, self);
  pump_client_on_reconnecting(self->client, on_attempt, self);
  pump_client_on_closed(self->client, on_end, self);
  return pump_client_connect(self->client, on_connect, self);
}

static void close_all(program *self) {
  fake_stop(&server);
  fake_finish(&loop, self->client);
}

static void start(program *self) {
  fake_start(&server, &loop);
  prepare(self);
}

static void run_for(uint64_t milliseconds) {
  uint64_t deadline = uv_hrtime() + milliseconds * 1000000;
  while (uv_hrtime() < deadline)
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void turn(int times) {
  while (times-- > 0)
    uv_run(&loop, UV_RUN_NOWAIT);
}

static int ping(program *self, int number) {
  questions[number] = (question){self, number};
  return pump_client_ping(self->client, NULL, on_answer, &questions[number]);
}

/* The number of a question is the number that the event is expected behind. */
static int append(program *self, int number) {
  pump_bytes text = {"ponies", 6};
  pump_new_event event = {.type = text, .data = text};
  questions[number] = (question){self, number};
  return pump_client_append(self->client, text, number, &event, 1, NULL, on_answer,
                            &questions[number]);
}

/* ---- Delays ------------------------------------------------------------------------------- */

static void delays(void) {
  pump_options options;
  pump_options_init(&options);
  static const uint64_t limits[] = {0, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
  bool are = true;
  for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
    are &= pump_reconnect_limit(&options, i) == limits[i];
  tap_ok(are, "delays double from 100 ms up to 5 s");
  tap_ok(pump_reconnect_limit(&options, 4000000000u) == 5000, "and stay there");
  options.reconnect_delay = UINT64_MAX / 2 + 2;
  options.reconnect_max_delay = UINT64_MAX;
  tap_ok(pump_reconnect_limit(&options, 9) == 86400000, "a day is the most, whatever is wanted");
  options.reconnect_delay = 0;
  tap_ok(pump_reconnect_limit(&options, 9) == 0, "no delay stays none");
}

static void answer(fake_server *to, const pump_tcp_frame *frame) {
  if (!fake_handshake(to, frame)) fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
}

static void hang_up(fake_server *to) {
  to->hang_up = true;
}

/* Identifies, and dies. */
static void die_at_once(fake_server *to, const pump_tcp_frame *frame) {
  fake_handshake(to, frame);
  to->hang_up = true;
}

static void a_server_that(const char *what, void (*on_connection)(fake_server *),
                          void (*on_frame)(fake_server *, const pump_tcp_frame *)) {
  program self;
  start(&self);
  self.options.reconnect_delay = 8;
  self.options.reconnect_max_delay = 64;
  server.on_frame = answer;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  server.on_connection = on_connection;
  server.on_frame = on_frame;
  fake_hang_up(&server);
  run_for(500);
  fake_until(&loop, &self.attempts, 6);
  /* On average 32 ms from one to the next, after the first few. */
  tap_ok(self.attempts > 5 && self.attempts < 80 && self.highest > 4,
         "%s is asked more and more seldom: %d attempts in 500 ms", what, self.attempts);
  tap_ok(!self.broke && self.longest > 8, "no delay is longer than its limit: %d ms at most",
         (int)self.longest);
  server.on_connection = NULL;
  server.on_frame = answer;
  ping(&self, 0);
  fake_until(&loop, &self.answers, 1);
  tap_ok(self.right == 1, "and is there again: %s", self.right ? "" : self.message);
  run_for(70);
  self.highest = 0;
  fake_hang_up(&server);
  ping(&self, 1);
  fake_until(&loop, &self.answers, 2);
  tap_ok(self.highest == 1, "a connection that lasted begins anew");
  close_all(&self);
}

/* ---- The end ------------------------------------------------------------------------------ */

static void refuse_login(fake_server *to, const pump_tcp_frame *frame) {
  if (frame->command == PUMP_TCP_AUTHENTICATE)
    fake_reply(to, frame, PUMP_TCP_NOT_AUTHENTICATED, "Unauthorized", 12);
  else
    fake_handshake(to, frame);
}

static void it_ends(const char *what, unsigned attempts, const char *username,
                    void (*then)(fake_server *, const pump_tcp_frame *), int wanted,
                    const char *words) {
  program self;
  start(&self);
  self.options.reconnect_attempts = attempts;
  self.options.username = username;
  server.on_frame = answer;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  server.on_frame = then;
  if (!then) server.on_connection = hang_up;
  turn(3);
  fake_hang_up(&server);
  for (int i = 0; i < 3; i++)
    ping(&self, i);
  bool ended = fake_until(&loop, &self.ends, 1);
  tap_ok(ended && self.attempts == wanted && strstr(self.reason, words) != NULL, "%s: %s", what,
         self.reason);
  tap_ok(self.answers == 3 && self.right == 0 && self.losses == 1 &&
             pump_client_state(self.client) == PUMP_STATE_CLOSED,
         "who waited has been told, and it is closed");
  tap_ok(ping(&self, 4) == PUMP_ECLOSED, "then nothing is taken");
  server.on_frame = answer;
  server.on_connection = NULL;
  tap_ok(pump_client_connect(self.client, on_connect, &self) == 0 &&
             fake_until(&loop, &self.connects, 2),
         "and it may connect again");
  ping(&self, 5);
  fake_until(&loop, &self.answers, 4);
  tap_ok(self.right == 1, "to be used");
  close_all(&self);
}

static void never_again(void) {
  program self;
  start(&self);
  self.options.reconnect_attempts = 0;
  server.on_frame = answer;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  fake_hang_up(&server);
  bool ended = fake_until(&loop, &self.ends, 1);
  tap_ok(ended && self.losses == 1 && self.attempts == 0, "without attempts a loss is the end: %s",
         self.reason);
  close_all(&self);
}

/* ---- In flight ---------------------------------------------------------------------------- */

/* Which appends came, by the version that they expect; they are answered, or are not. */
static int64_t came[MOST * 4];
static int came_count;
static bool is_mute;
static size_t cut_at;   /* so many bytes are sent to a connection, then it ends; SIZE_MAX: all */
static size_t next_cut; /* the same for the next one */
static size_t sent;

static int64_t expected_of(pump_bytes body) {
  pump_pb_cursor cursor = pump_pb_start(body);
  pump_pb_field field;
  int64_t value = 0;
  while (pump_pb_next(&cursor, &field))
    if (field.number == 2) value = (int64_t)field.value;
  return value;
}

static void say(fake_server *to, const pump_tcp_frame *frame) {
  static const char done[] = "\x08\x00\x18\x00\x20\x00";
  if (fake_handshake(to, frame)) return;
  if (frame->command == PUMP_TCP_WRITE_EVENTS && came_count < MOST * 4)
    came[came_count++] = expected_of(frame->payload);
  if (is_mute) return;
  if (frame->command == PUMP_TCP_PING)
    fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
  else
    fake_reply(to, frame, PUMP_TCP_WRITE_EVENTS_COMPLETED, done, sizeof done - 1);
}

/* The server has memory enough. */
static void say_and_cut(fake_server *to, const pump_tcp_frame *frame) {
  starve_state starving = starve_pause();
  size_t before = to->out.size;
  if (!to->hang_up) say(to, frame);
  size_t more = to->out.size - before;
  if (more > cut_at - sent) {
    more = cut_at - sent;
    pump_buffer_truncate(&to->out, before + more);
    to->hang_up = true;
  }
  sent += more;
  starve_go_on(starving);
}

static void listen_again(fake_server *to) {
  (void)to;
  cut_at = next_cut;
  next_cut = SIZE_MAX;
  sent = 0;
}

static void start_talk(program *self) {
  start(self);
  server.on_frame = say_and_cut;
  server.on_connection = listen_again;
  came_count = 0;
  is_mute = false;
  cut_at = next_cut = SIZE_MAX;
  sent = 0;
}

/* As many as came, and in that order. */
static bool came_in_order(int from, int count) {
  for (int i = 0; i < count; i++)
    if (came[from + i] != i) return false;
  return came_count == from + count;
}

static void order(void) {
  program self;
  start_talk(&self);
  self.options.max_in_flight = 6;
  self.options.max_queued = 15;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  is_mute = true;
  for (int i = 0; i < 10; i++)
    append(&self, i);
  fake_until(&loop, &came_count, 6);
  fake_hang_up(&server);
  fake_until(&loop, &self.losses, 1);
  for (int i = 10; i < 15; i++)
    append(&self, i);
  tap_ok(pump_client_state(self.client) == PUMP_STATE_RECONNECTING && came_in_order(0, 6),
         "6 are in flight, 4 wait, 5 are asked while there is no connection");
  tap_ok(append(&self, 15) == PUMP_EBUSY, "and there is a limit to that");
  fake_until(&loop, &came_count, 12);
  tap_ok(came_in_order(6, 6), "those in flight come first again, in their order");
  fake_hang_up(&server);
  fake_until(&loop, &self.losses, 2);
  is_mute = false;
  fake_until(&loop, &self.answers, 15);
  tap_ok(self.right == 15 && came_in_order(12, 15), "and then all the others, whenever they came");
  bool once = true;
  for (int i = 0; i < 15; i++)
    once &= self.answered[i] == 1 && self.order[i] == i;
  tap_ok(once, "each is answered once");
  close_all(&self);
}

static void deadlines(void) {
  program self;
  start_talk(&self);
  self.options.timeout = 100;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  is_mute = true;
  append(&self, 0);
  fake_until(&loop, &came_count, 1);
  server.on_connection = hang_up;
  fake_hang_up(&server);
  fake_until(&loop, &self.answers, 1);
  tap_ok(self.status == PUMP_ETIMEOUT && strstr(self.message, "being re-established: could not") &&
             strstr(self.message, "may have been done all the same"),
         "deadlines go on without a connection: %s", self.message);
  uint64_t before = uv_hrtime();
  append(&self, 1);
  fake_until(&loop, &self.answers, 2);
  tap_ok(self.status == PUMP_ETIMEOUT && !strstr(self.message, "may have") &&
             uv_hrtime() - before < UINT64_C(1000000000),
         "also of what was never sent: %s", self.message);
  tap_ok(pump_client_state(self.client) == PUMP_STATE_RECONNECTING, "the search goes on");
  close_all(&self);
}

static void nothing_twice(void) {
  program self;
  start_talk(&self);
  self.options.retries = 0;
  self.options.max_in_flight = 1;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  is_mute = true;
  append(&self, 0);
  append(&self, 1);
  fake_until(&loop, &came_count, 1);
  is_mute = false;
  fake_hang_up(&server);
  fake_until(&loop, &self.answers, 1);
  tap_ok(self.status == PUMP_ECLOSED && self.answered[0] == 1 &&
             strstr(self.message, "may have been done all the same"),
         "without retries what was in flight is closed: %s", self.message);
  fake_until(&loop, &self.answers, 2);
  tap_ok(self.right == 1 && came_count == 2 && came[1] == 1, "and what was not waits");
  close_all(&self);
}

/* The first connection ends so many bytes behind its handshake, the next one after so many. */
static void cuts(void) {
  enum { ALL = 22 + 22 + 3 * 28 }; /* the handshake, a ping and three appends */
  int right = 0, lost = 0;
  for (size_t at = 0; at < ALL; at++) {
    program self;
    start_talk(&self);
    open_client(&self);
    fake_until(&loop, &self.connects, 1);
    cut_at = sent + at;
    next_cut = at;
    ping(&self, 0);
    for (int i = 1; i < 4; i++)
      append(&self, i);
    fake_until(&loop, &self.answers, 4);
    right += self.right == 4 && self.answers == 4 && self.connects == 1;
    lost += self.attempts;
    close_all(&self);
  }
  tap_ok(right == ALL && lost > ALL, "%d talks come to their end through %d cuts at any byte",
         right, lost);
}

/* ---- Closing, and no memory --------------------------------------------------------------- */

static void closing(void) {
  int wrong = 0, when = 0;
  for (when = 0; when < 60; when++) {
    program self;
    start_talk(&self);
    self.options.reconnect_delay = (uint64_t)when % 3;
    open_client(&self);
    fake_until(&loop, &self.connects, 1);
    is_mute = true;
    append(&self, 0);
    fake_until(&loop, &came_count, 1);
    if (when % 2 == 0) cut_at = (size_t)when;
    fake_hang_up(&server);
    turn(when / 3);
    bool taken = ping(&self, 1) == 0;
    close_all(&self);
    wrong += self.answers != 1 + taken || self.answered[0] != 1 || self.status != PUMP_ECLOSED;
  }
  tap_ok(wrong == 0, "closing in %d moments of a reconnection answers everybody once", when);
}

/* The server says nothing any more, so each attempt takes all its time and the next one follows at
 * once: that is when closing is most delicate. */
static void closing_in(const char *name, unsigned attempt, bool is_mute_for_good) {
  program self;
  start_talk(&self);
  self.options.reconnect_delay = 0;
  self.options.connect_timeout = 20;
  self.options.reconnect_attempts = 3;
  self.options.retries = strcmp(name, "answer") == 0 ? 0 : PUMP_NO_LIMIT;
  self.closes_in = name;
  self.closes_at = attempt;
  open_client(&self);
  fake_until(&loop, &self.connects, 1);
  is_mute = true;
  append(&self, 0);
  fake_until(&loop, &came_count, 1);
  if (is_mute_for_good) server.on_frame = NULL;
  fake_hang_up(&server);
  uint64_t deadline = uv_hrtime() + UINT64_C(5000000000);
  while (!self.is_closed && uv_hrtime() < deadline)
    uv_run(&loop, UV_RUN_ONCE);
  int told = self.losses + self.attempts + self.connections + self.ends;
  turn(5);
  tap_ok(self.is_closed && self.answers == 1 && self.connects == 1 &&
             told == self.losses + self.attempts + self.connections + self.ends,
         "closing in the callback \"%s\" is the end (attempt %u)", name, attempt);
  close_all(&self);
}

static int lived;

static void live(program *self) {
  start_talk(self);
  self->options.timeout = 500;
  int code = open_client(self);
  if (code == 0) fake_until(&loop, &self->connects, 1);
  if (code != 0) self->status = code;
  if (self->status != 0) return;
  is_mute = true;
  int asked = 0;
  for (int i = 0; i < 3; i++)
    asked += append(self, i) == 0;
  turn(5);
  fake_hang_up(&server);
  is_mute = false;
  fake_until(&loop, &self->answers, asked);
  lived += self->answers == asked;
}

static void without_memory(void) {
  long at, leaked = 0, lonely = 0;
  for (at = 1;; at++) {
    program self;
    long alive = starve_alive;
    starve_count = 0;
    starve_at = at;
    int before = lived;
    live(&self);
    bool reached = starve_count >= at;
    starve_at = 0;
    lonely += self.client && self.status == 0 && lived == before;
    close_all(&self);
    /* The copy of the host is made by libc, uncounted, and freed by us. */
    leaked += starve_alive - alive + (self.client != NULL);
    if (!reached) break;
  }
  tap_ok(leaked == 0 && lonely == 0 && at > 20,
         "whichever of %ld allocations fails, everybody is answered and nothing leaks (%ld, %ld)",
         at - 1, lonely, leaked);
}

int main(void) {
  uv_loop_init(&loop);
  delays();
  a_server_that("a server that hangs up", hang_up, NULL);
  a_server_that("a server that identifies and dies", NULL, die_at_once);
  it_ends("attempts are used up", 3, NULL, NULL, 3, "gave up after 3 attempts");
  it_ends("credentials are refused", PUMP_NO_LIMIT, "admin", refuse_login, 1, "could not connect");
  never_again();
  order();
  deadlines();
  nothing_twice();
  cuts();
  closing();
  closing_in("answer", 0, false);
  closing_in("lost", 0, false);
  closing_in("connected", 0, false);
  closing_in("attempt", 1, true);
  closing_in("attempt", 2, true);
  closing_in("end", 0, true);
  without_memory();
  uv_loop_close(&loop);
  return tap_done();
}
