/* The questions that real servers were asked (spec/recorded/.../semantics.jsonl, and where our node
 * had been wrong, corners.jsonl), sent to the embedded node byte for byte; its answers compared with
 * theirs field by field. Times are not compared, and of positions only their order. */
#include "tap.h"

#include "page_form.h"
#include "replay.h"
#include "wire/tcp/events.h"

/* ---- What had been done between the recorded questions ------------------------------------ */

typedef struct preparation {
  const char *before; /* the step */
  const char *stream; /* less its suffix; NULL: only wait */
  int events;         /* or milliseconds */
  const char *type;
  const char *data; /* %d: the event's number */
} preparation;

static const preparation preparations[] = {
    {"read forward 0, 4", "reading-", 10, "thing", "{\"n\":%d}"},
    {"set an ACL for admins", "acl-", 1, "thing", "{\"a\":1}"},
    {"read with $maxAge 1 s, at once", "$$age-", 1, "$metadata", "{\"$maxAge\":1}"},
    {"read with $maxAge 1 s, at once", "age-", 2, "thing", "{\"a\":1}"},
    {"read with $maxAge 1 s, 2 s later", NULL, 2000, NULL, NULL},
    {"soft delete, wrong expected version", "soft-", 3, "thing", "{\"a\":1}"},
    {"hard delete", "hard-", 3, "thing", "{\"a\":1}"},
    {"write links: 0@, 2@, missing 9@, missing stream, malformed", "target-", 3, "thing",
     "{\"n\":%d}"},
    {"read links resolved after the target was hard-deleted", "target-", 0, NULL, NULL},
    {"what the subscriber gets after an append of 2", "live-", 2, "thing", "{\"n\":%d}"},
    {"what the subscriber gets after a hard delete", "live-", 0, NULL, NULL},
    /* What flies before the replay runs out of time before what is replayed. */
    {"replay what is parked over HTTP", NULL, 900, NULL, NULL},
    {"one event of 4 MiB", NULL, 600, NULL, NULL}, /* until checkpoints are written */
    {"create a group without credentials", "work-", 6, "thing", "{\"n\":%d}"},
};

/* The ids of what was prepared are not known, nor those of metadata that a server writes itself. */
static bool was_prepared(pump_bytes stream) {
  for (size_t i = 0; i < sizeof preparations / sizeof *preparations; i++) {
    if (preparations[i].stream && pump_bytes_starts(stream, preparations[i].stream)) return true;
  }
  return pump_bytes_starts(stream, "$$soft-") || pump_bytes_starts(stream, "$persistent");
}

typedef struct asking {
  node_peer peer;
  node_peer other; /* what is prepared goes over this one, new each time */
  int port;
  uint8_t counter;
  int http_port;
  pump_tcp_correlation subscription;
  pump_tcp_correlation second; /* of two consumers */
  char suffix[32];
  struct {
    pump_tcp_frame frame;
    char *payload;
  } kept[100]; /* what came to others than who was asked for */
  size_t kept_count;
  char *last; /* the payload of what was kept and is looked at */
  replay replay;
} asking;

static bool write_events(asking *at, const preparation *what, const char *stream) {
  pump_tcp_correlation id = {{++at->counter, 3}};
  for (int i = 0; i < what->events; i++) {
    char data[64];
    static unsigned char counter;
    snprintf(data, sizeof data, what->data, i);
    pump_new_event event = {.id = {{9, ++counter, at->counter}},
                            .type = pump_bytes_of(what->type),
                            .data = pump_bytes_of(data),
                            .is_json = true};
    pump_tcp_encode_write(&at->other.out, &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                          pump_bytes_of(stream), PUMP_ANY, false, &event, 1);
    pump_tcp_frame answer;
    if (!node_peer_flush(&at->other) || !node_peer_receive(&at->other, &answer)) return false;
    if (answer.command != PUMP_TCP_WRITE_EVENTS_COMPLETED) return false;
  }
  return true;
}

/* The next frame for that one; others keep theirs. It is valid until the next call. */
static bool receive_for(asking *at, const pump_tcp_correlation *id, pump_tcp_frame *frame) {
  free(at->last);
  at->last = NULL;
  for (size_t i = 0; i < at->kept_count; i++) {
    *frame = at->kept[i].frame;
    if (memcmp(&frame->correlation, id, sizeof *id) != 0) continue;
    at->last = at->kept[i].payload;
    memmove(&at->kept[i], &at->kept[i + 1], (--at->kept_count - i) * sizeof *at->kept);
    return true;
  }
  while (node_peer_receive(&at->peer, frame)) {
    if (memcmp(&frame->correlation, id, sizeof *id) == 0) return true;
    if (at->kept_count == sizeof at->kept / sizeof *at->kept) return false;
    char *payload = malloc(frame->payload.size + 1);
    if (!payload) abort();
    memcpy(payload, frame->payload.data, frame->payload.size);
    frame->payload.data = payload;
    at->kept[at->kept_count].frame = *frame;
    at->kept[at->kept_count++].payload = payload;
  }
  return false;
}

static bool hard_delete(asking *at, const char *stream) {
  uint8_t body[128] = {0x0a, (uint8_t)strlen(stream)};
  uint8_t *end = body + 2 + body[1];
  memcpy(body + 2, stream, body[1]);
  end = pump_pb_put_number(end, 2, (uint64_t)PUMP_ANY);
  end = pump_pb_put_number(end, 3, 0);
  end = pump_pb_put_number(end, 4, 1);
  pump_tcp_correlation id = {{++at->counter, 4}};
  pump_tcp_frame answer;
  return node_peer_send(&at->other, PUMP_TCP_DELETE_STREAM, &id, "admin", "changeit",
                        (pump_bytes){(char *)body, (size_t)(end - body)}) &&
         node_peer_receive(&at->other, &answer) &&
         answer.command == PUMP_TCP_DELETE_STREAM_COMPLETED;
}

/* Two consumers of a new group on connection `peer`, or one. */
static bool connect_consumers(asking *at, const char *name, int start_from, int most, int count) {
  char stream[64];
  uint8_t body[256];
  pump_tcp_frame answer;
  pump_tcp_correlation id = {{++at->counter, 5}};
  snprintf(stream, sizeof stream, "work-%s", at->suffix);
  const int values[] = {0, start_from, 30000, 0, 500, 20, 500, 10, 0, 2000, 1000, 10, most};
  uint8_t *end = pump_pb_put_bytes(body, 1, name, strlen(name));
  end = pump_pb_put_bytes(end, 2, stream, strlen(stream));
  for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
    end = pump_pb_put_number(end, 3 + i, (uint64_t)(int64_t)values[i]);
  if (start_from < 0) { /* field 16 is the strategy, which the group is called after */
    *end++ = 0x82;
    *end++ = 1;
    *end++ = (uint8_t)strlen(name);
    end = (uint8_t *)memcpy(end, name, strlen(name)) + strlen(name);
  }
  bool is_good = node_peer_send(&at->other, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, &id, "admin",
                                "changeit", (pump_bytes){(char *)body, (size_t)(end - body)}) &&
                 node_peer_receive(&at->other, &answer) &&
                 answer.command == PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED;
  for (int i = 0; is_good && i < count; i++) {
    pump_tcp_correlation *consumer = i == 0 ? &at->subscription : &at->second;
    *consumer = (pump_tcp_correlation){{++at->counter, 6}};
    end = pump_pb_put_bytes(body, 1, name, strlen(name));
    end = pump_pb_put_bytes(end, 2, stream, strlen(stream));
    end = pump_pb_put_number(end, 3, 3);
    is_good =
        node_peer_send(&at->peer, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, consumer, "admin",
                       "changeit", (pump_bytes){(char *)body, (size_t)(end - body)}) &&
        receive_for(at, consumer, &answer) &&
        answer.command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_CONFIRMATION;
  }
  return is_good;
}

/* Each strategy was tried with two consumers and an append of six events. */
static bool prepare_strategy(asking *at, const char *step) {
  static const preparation six = {"", "work-", 6, "thing", "{\"n\":%d}"};
  char name[32], stream[64];
  if (strcmp(step, "connect beyond subscriber_max_count") == 0)
    return connect_consumers(at, "few", 0, 1, 1);
  if (strstr(step, ": second consumer (3 in flight)")) at->subscription = at->second;
  if (!strstr(step, ": first consumer (3 in flight) after an append of 6")) return true;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(step, ":"), step);
  snprintf(stream, sizeof stream, "work-%s", at->suffix);
  return connect_consumers(at, name, -1, 0, 2) && write_events(at, &six, stream);
}

static bool prepare(asking *at, const char *file, const char *step) {
  bool is_good = node_peer_connect(&at->other, at->port) && prepare_strategy(at, step);
  /* As the clock of the older servers stood, the fourth event ran out of time before the second
   * and the fifth did. */
  if (strcmp(step, "nak the second: retry") == 0 && !strstr(file, "23.10")) usleep(900000);
  for (size_t i = 0; i < sizeof preparations / sizeof *preparations; i++) {
    const preparation *what = &preparations[i];
    if (strcmp(what->before, step) != 0) continue;
    char stream[64];
    snprintf(stream, sizeof stream, "%s%s", what->stream ? what->stream : "", at->suffix);
    if (!what->stream)
      usleep((useconds_t)what->events * 1000);
    else if (what->events == 0)
      is_good = hard_delete(at, stream) && is_good;
    else
      is_good = write_events(at, what, stream) && is_good;
  }
  node_peer_close(&at->other);
  return is_good;
}

/* ---- Replaying ---------------------------------------------------------------------------- */

/* The bodies that were too large to be recorded whole. */
static bool big_body(asking *at, const char *step, pump_buffer *body) {
  size_t size = strcmp(step, "one event of 4 MiB") == 0    ? 4u << 20
                : strcmp(step, "one event of 17 MiB") == 0 ? 17u << 20
                                                           : 0;
  if (size == 0) return false;
  char stream[64];
  snprintf(stream, sizeof stream, "big-%s", at->suffix);
  char *data = malloc(size);
  if (!data) abort();
  memset(data, 'x', size);
  pump_new_event event = {.id = {{8}}, .type = pump_bytes_of("thing"), .data = {data, size}};
  static const pump_tcp_correlation none;
  pump_tcp_encode_write(body, &none, (pump_bytes){0}, (pump_bytes){0}, pump_bytes_of(stream),
                        PUMP_ANY, false, &event, 1);
  memmove(body->data, body->data + PUMP_TCP_HEAD_SIZE, body->size - PUMP_TCP_HEAD_SIZE);
  body->size -= PUMP_TCP_HEAD_SIZE;
  free(data);
  return true;
}

static bool has_ids(uint8_t command) {
  return command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS ||
         command == PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS;
}

/* How many fields of a question, from the first on, are positions: what an earlier answer gave. */
static unsigned count_positions(uint8_t command) {
  switch (command) {
  case PUMP_TCP_READ_ALL_FORWARD:
  case PUMP_TCP_READ_ALL_BACKWARD: return 2;
  case PUMP_TCP_TRANSACTION_WRITE:
  case PUMP_TCP_TRANSACTION_COMMIT: return 1;
  default: return 0;
  }
}

static uint64_t our_position(const replay *at, uint64_t theirs) {
  for (size_t i = 0; i < at->position_count; i++) {
    if (at->positions[i].theirs == (int64_t)theirs) return (uint64_t)at->positions[i].ours;
  }
  return theirs;
}

static pump_bytes our_id(const replay *at, pump_bytes theirs) {
  for (size_t i = 0; i < at->id_count; i++) {
    if (pump_bytes_equal(theirs, (pump_bytes){(const char *)at->ids[i].theirs, 16}))
      return (pump_bytes){(const char *)at->ids[i].ours, 16};
  }
  return theirs;
}

/* The question with our positions and ids in the place of theirs. */
static void put_ours(asking *at, uint8_t command, pump_buffer *body, pump_bytes recorded) {
  unsigned count = count_positions(command);
  if (count == 0 && !has_ids(command)) return;
  pump_pb_cursor cursor = pump_pb_start(recorded);
  pump_pb_field field;
  while (pump_pb_next(&cursor, &field)) {
    if (field.number <= count) field.value = our_position(&at->replay, field.value);
    if (has_ids(command) && field.number == 2) field.bytes = our_id(&at->replay, field.bytes);
    uint8_t *to = pump_buffer_reserve(body, 16 + field.bytes.size);
    if (!to) abort();
    uint8_t *end = field.type == 2
                       ? pump_pb_put_bytes(to, field.number, field.bytes.data, field.bytes.size)
                       : pump_pb_put_number(to, field.number, field.value);
    pump_buffer_grew(body, (size_t)(end - to));
  }
}

/* Before the answer to a ping. */
static bool nothing_comes(asking *at, const pump_tcp_correlation *id) {
  pump_tcp_correlation ping = {{++at->counter, 7}};
  pump_tcp_frame got;
  usleep(100000);
  if (!node_peer_send(&at->peer, PUMP_TCP_PING, &ping, NULL, NULL, (pump_bytes){0}) ||
      !receive_for(at, &ping, &got))
    return false;
  for (size_t i = 0; i < at->kept_count; i++) {
    if (memcmp(&at->kept[i].frame.correlation, id, sizeof *id) == 0) return false;
  }
  return true;
}

/* The answers to a question, or what comes without one, each with the right id. */
static bool compare_answers(asking *at, const pump_tcp_correlation *id, const char *answers) {
  recorded_frame expected;
  bool is_same = true;
  int count = 0;
  for (; is_same && recorded_next(&answers, &expected); count++) {
    pump_tcp_frame got = {0};
    is_same = receive_for(at, id, &got);
    if (is_same && got.command != expected.command) {
      snprintf(at->replay.why, sizeof at->replay.why, "command %02x there, %02x here",
               expected.command, got.command);
      is_same = false;
    }
    if (is_same)
      is_same = same_message(&at->replay, message_of(got.command), expected.body, got.payload);
    free((char *)(uintptr_t)expected.body.data);
  }
  if (count == 0) return nothing_comes(at, id);
  return is_same;
}

/* Whose answers come to this question: its own, or those of the subscription. */
static pump_tcp_correlation id_for(asking *at, bool has_question, uint8_t command) {
  pump_tcp_correlation id = {{++at->counter, 1, 2}};
  bool is_of_subscription =
      !has_question || has_ids(command) || command == PUMP_TCP_UNSUBSCRIBE_FROM_STREAM;
  if (is_of_subscription) id = at->subscription;
  if (command == PUMP_TCP_SUBSCRIBE_TO_STREAM ||
      command == PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION)
    at->subscription = id;
  return id;
}

static void run_step(asking *at, const char *file, const char *step, const char *question,
                     const char *answers) {
  recorded_frame sent = {0};
  pump_buffer large;
  pump_buffer_init(&large);
  at->replay.why[0] = '\0';
  bool is_admin = strstr(question, "\"auth\": [\"admin\", \"changeit\"]") != NULL;
  bool has_question = recorded_next(&question, &sent);
  if (!has_question && big_body(at, step, &large)) {
    sent.command = PUMP_TCP_WRITE_EVENTS;
    has_question = true;
  }
  put_ours(at, sent.command, &large, sent.body);
  pump_bytes body = large.size ? (pump_bytes){(char *)large.data, large.size} : sent.body;
  bool is_same = prepare(at, file, step);
  pump_tcp_correlation id = id_for(at, has_question, sent.command);
  if (is_same && has_question)
    is_same =
        node_peer_send(&at->peer, sent.command, &id, is_admin ? "admin" : NULL, "changeit", body);
  is_same = is_same && compare_answers(at, &id, answers);
  tap_ok(is_same, "%s: %s%s%s", file, step, is_same ? "" : ": ", is_same ? "" : at->replay.why);
  free((char *)(uintptr_t)sent.body.data);
  pump_buffer_free(&large);
}

/* Takes a JSON string apart in place; \\n and \\" are all the escapes there are. */
static char *unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from && *from != '"'; from++) {
    if (*from == '\\') from++;
    *to++ = from[-1] == '\\' && *from == 'n' ? '\n' : *from;
  }
  *to = '\0';
  return text;
}

/* request: as it was recorded: GET", "/path"]. */
static bool get_page(int port, const char *request, char *page, size_t room) {
  node_peer guest;
  char head[512];
  size_t size = 0;
  ssize_t got;
  const char *path = strchr(request, '/');
  snprintf(head, sizeof head,
           "%.*s %.*s HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n"
           "Authorization: Basic YWRtaW46Y2hhbmdlaXQ=\r\n\r\n",
           (int)strcspn(request, "\""), request, (int)strcspn(path, "\""), path);
  bool is_there =
      node_peer_connect(&guest, port) && node_peer_send_bytes(&guest, head, strlen(head));
  while (is_there && (got = recv(guest.fd, page + size, room - 1 - size, 0)) > 0)
    size += (size_t)got;
  page[size] = '\0';
  node_peer_close(&guest);
  return strstr(page, " 200 OK\r\n") != NULL && strstr(page, "\r\n\r\n") != NULL;
}

static void run_page(asking *at, const char *file, const char *step, const char *request) {
  char page[8192];
  char *reply = strstr(request, "\"reply\": \"");
  bool is_same = prepare(at, file, step) && reply;
  if (is_same) is_same = get_page(at->http_port, request, page, sizeof page);
  /* That server had groups of earlier questions too. */
  bool has_others = strcmp(step, "subscriptions") == 0 && strstr(file, "23.10");
  if (is_same)
    is_same = (has_others ? page_has_keys : page_has_form)(
        step, unescape(reply + strlen("\"reply\": \"")), strstr(page, "\r\n\r\n") + 4);
  tap_ok(is_same, "%s: %s", file, step);
}

static void replay_line(asking *at, const char *file, char *line) {
  char *step = strstr(line, "\"step\": \"");
  if (!step) return;
  step += strlen("\"step\": \"");
  char *end = strchr(step, '"');
  *end = '\0';
  char *question = end + 1;
  const char *page = strstr(question, "\"http\": [\"");
  if (page) {
    run_page(at, file, step, page + strlen("\"http\": [\""));
    return;
  }
  char *answers = strstr(question, "\"got\":");
  if (!answers) {
    tap_ok(false, "%s: %s has no answers", file, step);
    return;
  }
  answers[-1] = '\0';
  if (!at->suffix[0]) {
    const char *name = strstr(question, "versions-");
    if (name) snprintf(at->suffix, sizeof at->suffix, "%.8s", name + strlen("versions-"));
  }
  run_step(at, file, step, question, answers);
}

/* As the recorded connections called themselves. */
static bool identify(node_peer *peer) {
  uint8_t body[32];
  pump_tcp_correlation id = {{8}};
  pump_tcp_frame answer;
  uint8_t *end = pump_pb_put_bytes(pump_pb_put_number(body, 1, 1), 2, "semantics", 9);
  return node_peer_send(peer, PUMP_TCP_IDENTIFY_CLIENT, &id, NULL, NULL,
                        (pump_bytes){(char *)body, (size_t)(end - body)}) &&
         node_peer_receive(peer, &answer) && answer.command == PUMP_TCP_CLIENT_IDENTIFIED;
}

static void replay_file(const char *file, const char *like) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.listen = "127.0.0.1:0";
  options.http = "127.0.0.1:0";
  options.like = like;
  node_child child = node_child_start(&options);
  static asking at;
  at = (asking){
      .port = child.port, .http_port = child.http_port, .replay.is_id_unknown = was_prepared};
  char path[128];
  snprintf(path, sizeof path, "spec/recorded/%s", file);
  FILE *input = fopen(path, "r");
  if (!tap_ok(child.port && input && node_peer_connect(&at.peer, child.port) &&
                  identify(&at.peer) && node_peer_connect(&at.other, child.port),
              "%s can be replayed", file))
    return;
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, input) > 0)
    replay_line(&at, file, line);
  free(line);
  fclose(input);
  node_peer_close(&at.peer);
  free(at.last);
  for (size_t i = 0; i < at.kept_count; i++)
    free(at.kept[i].payload);
  tap_ok(node_child_stop(&child), "%s: the node ends with nothing open", file);
}

int main(void) {
  replay_file("5.0.8/semantics.jsonl", "5.0");
  replay_file("5.0.8/corners.jsonl", "5.0");
  replay_file("4.1.4/semantics.jsonl", "4.1");
  replay_file("23.10.6/semantics.jsonl", "23.10");
  return tap_done();
}
