/* What real servers were sent on purpose and in error (spec/recorded/.../auth.jsonl, probe.jsonl),
 * connection by connection, frame by frame: the embedded node answers the same. */
#include "tap.h"

#include "replay.h"

typedef struct left_out {
  const char *file; /* of each server */
  int line;         /* 0: every line with this command */
  uint8_t command;
  const char *why;
} left_out;

#define SYSTEM_EVENTS "a server's own system events stand first"

static const left_out left_outs[] = {
    {NULL, 0, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, "groups are not there yet"},
    {NULL, 0, PUMP_TCP_DELETE_PERSISTENT_SUBSCRIPTION, "groups are not there yet"},
    {NULL, 0, PUMP_TCP_HEARTBEAT_REQUEST, "comes when it comes"},
    {"probe.jsonl", 63, 0, "positions are counted otherwise: 77 is none there"},
};

static const char *why_left_out(const char *file, int line, uint8_t command) {
  for (size_t i = 0; i < sizeof left_outs / sizeof *left_outs; i++) {
    const left_out *out = &left_outs[i];
    if (out->line == 0 && out->command == command) return out->why;
    if (out->line == line && out->line && strcmp(out->file, strchr(file, '/') + 1) == 0)
      return out->why;
  }
  return NULL;
}

#define MAX_PEERS 32

typedef struct traffic {
  const char *file;
  int port;
  int line; /* from 0, of the question */
  node_peer peers[MAX_PEERS];
  bool is_open[MAX_PEERS];
  pump_tcp_correlation left_out; /* of the question that was not asked */
  replay replay;
} traffic;

static long number_of(const char *line, const char *key) {
  const char *at = strstr(line, key);
  return at ? strtol(at + strlen(key), NULL, 10) : 0;
}

static size_t hex_of(const char *line, const char *key, uint8_t *to, size_t room) {
  const char *at = strstr(line, key);
  size_t size = 0;
  if (!at) return 0;
  for (at += strlen(key); size < room && at[0] != '"' && at[1] != '"'; at += 2)
    to[size++] = (uint8_t)strtoul((char[]){at[0], at[1], '\0'}, NULL, 16);
  return size;
}

static void text_of(const char **at, char to[64]) {
  const char *start = strchr(*at, '"') + 1, *end = strchr(start, '"');
  snprintf(to, 64, "%.*s", (int)(end - start), start);
  *at = end + 1;
}

static node_peer *peer_of(traffic *at, const char *line) {
  long number = number_of(line, "\"conn\": ");
  if (number < 0 || number >= MAX_PEERS) abort();
  if (!at->is_open[number]) at->is_open[number] = node_peer_connect(&at->peers[number], at->port);
  return &at->peers[number];
}

static void send_line(traffic *at, const char *line) {
  uint8_t raw[256];
  node_peer *peer = peer_of(at, line);
  size_t size = hex_of(line, "\"raw\": \"", raw, sizeof raw);
  if (size > 0) {
    node_peer_send_bytes(peer, raw, size);
    return;
  }
  recorded_frame frame;
  const char *cursor = line;
  if (!recorded_next(&cursor, &frame)) return;
  char login[64] = "", password[64] = "";
  const char *auth = strstr(line, "\"auth\": [");
  if (auth) {
    auth += strlen("\"auth\": [");
    text_of(&auth, login);
    text_of(&auth, password);
  }
  pump_tcp_correlation id = {{0}};
  hex_of(line, "\"corr\": \"", id.bytes, sizeof id.bytes);
  if (why_left_out(at->file, -1, frame.command)) {
    at->left_out = id;
  } else {
    size_t start = peer->out.size;
    pump_tcp_frame_write(&peer->out, frame.command, &id, pump_bytes_of(auth ? login : NULL),
                         pump_bytes_of(password), frame.body);
    peer->out.data[start + 5] = (uint8_t)number_of(line, "\"flags\": ");
    node_peer_flush(peer);
  }
  free((char *)(uintptr_t)frame.body.data);
}

/* Errors that quote a server's own code are compared by their first words. */
static bool is_same_body(traffic *at, const recorded_frame *expected, pump_bytes got) {
  static const char quoting[] = "Received bad network package. Error: ";
  if (pump_bytes_starts(expected->body, quoting)) return pump_bytes_starts(got, quoting);
  return same_message(&at->replay, message_of(expected->command), expected->body, got);
}

static void receive_line(traffic *at, const char *line, int number) {
  recorded_frame expected;
  const char *cursor = line;
  if (!recorded_next(&cursor, &expected)) return;
  pump_tcp_correlation id = {{0}};
  hex_of(line, "\"corr\": \"", id.bytes, sizeof id.bytes);
  const char *why = why_left_out(at->file, number, expected.command);
  bool is_asked = memcmp(&id, &at->left_out, sizeof id) != 0;
  if (!is_asked) why = "its question is left out";
  pump_tcp_frame got = {0};
  at->replay.why[0] = '\0';
  if (is_asked && expected.command != PUMP_TCP_HEARTBEAT_REQUEST) {
    bool is_same = node_peer_receive(peer_of(at, line), &got) && got.command == expected.command &&
                   memcmp(&got.correlation, &id, sizeof id) == 0 &&
                   (why || is_same_body(at, &expected, got.payload));
    tap_ok(is_same, "%s line %d: %s %s%s", at->file, number,
           pump_tcp_command_name(expected.command), why ? "came, not compared: " : "",
           why       ? why
           : is_same ? ""
                     : at->replay.why);
  } else {
    tap_ok(true, "%s line %d # SKIP %s", at->file, number, why);
  }
  free((char *)(uintptr_t)expected.body.data);
}

static void run_file(const char *file) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.listen = "127.0.0.1:0";
  node_child child = node_child_start(&options);
  static traffic at;
  at = (traffic){.file = file, .port = child.port};
  char path[128];
  snprintf(path, sizeof path, "spec/recorded/%s", file);
  FILE *input = fopen(path, "r");
  if (!tap_ok(child.port && input, "%s can be replayed", file)) return;
  char *line = NULL;
  size_t room = 0;
  for (int number = 0; getline(&line, &room, input) > 0; number++) {
    if (strstr(line, "\"dir\": \"C\""))
      send_line(&at, line);
    else
      receive_line(&at, line, number);
  }
  free(line);
  fclose(input);
  for (int i = 0; i < MAX_PEERS; i++) {
    if (at.is_open[i]) node_peer_close(&at.peers[i]);
  }
  tap_ok(node_child_stop(&child), "%s: the node ends with nothing open", file);
}

int main(void) {
  run_file("5.0.8/auth.jsonl");
  run_file("5.0.8/probe.jsonl");
  run_file("4.1.4/auth.jsonl");
  run_file("4.1.4/probe.jsonl");
  return tap_done();
}
