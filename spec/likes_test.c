/* Where the servers that a node answers like differ from each other, and no recording tells it:
 * which logins they take, and who may make groups. */
#include "tap.h"

#include "group_peer.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzabcdef" /* 32 */

static bool is_ended(node_peer *peer) {
  char byte;
  return recv(peer->fd, &byte, 1, 0) == 0;
}

/* The text that a login is refused with, connection and all; "" where it is not. */
static const char *refusal(const node_child *node, const char *login, const char *password,
                           pump_bytes payload) {
  static char text[200];
  node_peer peer;
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(1, 1);
  text[0] = '\0';
  node_peer_connect(&peer, node->port);
  if (node_peer_send(&peer, PUMP_TCP_AUTHENTICATE, &id, login, password, payload) &&
      node_peer_receive(&peer, &frame) && frame.command == PUMP_TCP_BAD_REQUEST) {
    bool is_nobody = memcmp(&frame.correlation, &(pump_tcp_correlation){{0}}, sizeof id) == 0;
    snprintf(text, sizeof text, "%.*s", (int)frame.payload.size, frame.payload.data);
    if (!is_nobody || !is_ended(&peer)) snprintf(text, sizeof text, "not as it should be");
  }
  node_peer_close(&peer);
  return text;
}

static void test_logins(const char *like) {
  static const char long_login[] = LETTERS LETTERS LETTERS LETTERS;
  static const char beginning[] = "Received bad network package. Error: ";
  bool is_23 = strcmp(like, "23.10") == 0;
  node_child node = start(NULL, like);
  const char *why = refusal(&node, "admin", "", no_bytes);
  tap_ok(is_23 ? !*why : strstr(why, beginning) && strstr(why, "too big"),
         "%s: no password, and nothing behind it (%s)", like, why);
  why = refusal(&node, "admin", "", pump_bytes_of("x"));
  tap_ok(!*why, "%s: no password, and something behind it (%s)", like, why);
  why = refusal(&node, long_login, "x", no_bytes);
  tap_ok(is_23 ? strstr(why, "Login length must be less") != NULL : !*why,
         "%s: a login of 128 bytes (%s)", like, why);
  why = refusal(&node, "admin", long_login, no_bytes);
  tap_ok(is_23 ? strstr(why, "Password length must be less") != NULL : !*why,
         "%s: a password of 128 bytes (%s)", like, why);
  node_peer peer;
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(1, 1);
  node_peer_connect(&peer, node.port);
  node_peer_send(&peer, PUMP_TCP_PING, &id, "\xc3\xa9mile", "x", no_bytes);
  tap_ok(is_23 ? is_quiet(&peer)
               : node_peer_receive(&peer, &frame) && frame.command == PUMP_TCP_NOT_AUTHENTICATED,
         "%s: a login that does not begin with ASCII %s", like,
         is_23 ? "gets no answer" : "is one like others");
  node_peer_send(&peer, PUMP_TCP_IDENTIFY_CLIENT, &id, NULL, NULL, pump_bytes_of("\x0a"));
  tap_ok(is_quiet(&peer), "%s: who says nonsense of himself gets no answer", like);
  node_peer_close(&peer);
  tap_ok(node_child_stop(&node), "%s: the node ends with nothing open", like);
}

static void test_rights(const char *like) {
  bool is_4 = strcmp(like, "4.1") == 0;
  node_child node = start(NULL, like);
  node_peer peer;
  char reason[200], page[8192];
  node_peer_connect(&peer, node.port);
  int made =
      change(&peer, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, "s", "g", &usual, "ops", reason);
  tap_ok(made == (is_4 ? 3 : 0), "%s: ops %s make groups (%s)", like, is_4 ? "may not" : "may",
         reason);
  if (is_4) tap_ok(create(&peer, "s", "g", &usual), "%s: admin may", like);
  int changed =
      change(&peer, PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION, "s", "g", &usual, "joe", reason);
  tap_ok(changed == 3 &&
             strcmp(reason, "You do not have permissions to update the subscription") == 0,
         "%s: who may not change one is told so (%s)", like, reason);
  static const char ops[] = "b3BzOmNoYW5nZWl0";
  int replayed = ask_page(node.http_port, "POST", "/subscriptions/s/g/replayParked", ops, page);
  tap_ok(replayed == (is_4 ? 403 : 200), "%s: so it is with what is parked (%d)", like, replayed);
  bool is_set = write_event(&peer, "$$$settings", "$metadata", "{\"$acl\":{\"$w\":\"joe\"}}", "");
  changed = change(&peer, PUMP_TCP_UPDATE_PERSISTENT_SUBSCRIPTION, "s", "g", &usual, "joe", reason);
  tap_ok(is_set && changed == (is_4 ? 0 : 3), "%s: who may write to $settings %s (%d)", like,
         is_4 ? "may" : "may not for that", changed);
  node_peer_close(&peer);
  tap_ok(node_child_stop(&node), "%s: the node ends with nothing open", like);
}

/* The text that a page of so many events from there on is refused with. */
static const char *why_not(node_peer *peer, int64_t from, int32_t count) {
  static char text[200];
  PumpTcp__ReadStreamEvents body = PUMP_TCP__READ_STREAM_EVENTS__INIT;
  pump_tcp_correlation id = id_of(1, 1);
  pump_tcp_frame frame;
  body.has_event_stream_id = body.has_from_event_number = body.has_max_count = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of("s"));
  body.from_event_number = from;
  body.max_count = count;
  pump_tcp_pack(&peer->out, PUMP_TCP_READ_STREAM_FORWARD, &id, pump_bytes_of("admin"),
                pump_bytes_of("changeit"), &body.base);
  bool is_read = node_peer_flush(peer) && node_peer_receive(peer, &frame);
  ProtobufCMessage *message = is_read ? pump_tcp_unpack(frame.command, frame.payload) : NULL;
  const PumpTcp__ReadStreamEventsCompleted *said = (const void *)message;
  snprintf(text, sizeof text, "%.*s", said ? (int)said->error.len : 0,
           said ? (const char *)said->error.data : "");
  if (message) pump_tcp_unpack_free(message);
  return text;
}

/* As .NET says what is wrong with an argument, then and now. */
static void test_texts(const char *like, const char *behind) {
  node_child node = start(NULL, like);
  node_peer peer;
  char wanted[200];
  node_peer_connect(&peer, node.port);
  snprintf(wanted, sizeof wanted, behind, "maxCount should be positive.", "maxCount");
  const char *why = why_not(&peer, 0, 0);
  tap_ok(strcmp(why, wanted) == 0, "%s: no events are no page (%zu bytes)", like, strlen(why));
  snprintf(wanted, sizeof wanted, behind, "fromEventNumber should be non negative.",
           "fromEventNumber");
  why = why_not(&peer, -1, 10);
  tap_ok(strcmp(why, wanted) == 0, "%s: nor are those before the first (%zu)", like, strlen(why));
  node_peer_close(&peer);
  tap_ok(node_child_stop(&node), "%s: the node ends with nothing open", like);
}

int main(void) {
  test_logins("4.1");
  test_logins("5.0");
  test_logins("23.10");
  test_rights("4.1");
  test_rights("5.0");
  test_texts("5.0", "%s\nParameter name: %s");
  test_texts("23.10", "%s (Parameter '%s')");
  return tap_done();
}
