/* Volatile subscriptions to the embedded node: what subscribers are told and in which order, and
 * what those who read too little cost the others. */
#include "tap.h"

#include "node_child.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

static const pump_bytes no_bytes;

static pump_tcp_correlation id_of(uint8_t kind, unsigned number) {
  pump_tcp_correlation id = {{0}};
  memcpy(id.bytes, &number, sizeof number);
  id.bytes[15] = kind;
  return id;
}

/* A write of some events of one type, sent but not answered. */
static void put_write(node_peer *peer, const char *stream, const char *type, const char *data,
                      size_t size, unsigned count) {
  static unsigned counter;
  pump_new_event events[100];
  for (unsigned i = 0; i < count; i++) {
    events[i] = (pump_new_event){
        .type = pump_bytes_of(type), .data = {data, size}, .is_json = size > 0 && *data == '{'};
    pump_tcp_correlation id = id_of(9, ++counter);
    memcpy(events[i].id.bytes, id.bytes, sizeof id);
  }
  pump_tcp_correlation id = id_of(1, counter);
  pump_tcp_encode_write(&peer->out, &id, pump_bytes_of("admin"), pump_bytes_of("changeit"),
                        pump_bytes_of(stream), PUMP_ANY, false, events, count);
}

static bool write_event(node_peer *peer, const char *stream, const char *type, const char *data) {
  pump_tcp_frame frame;
  put_write(peer, stream, type, data, strlen(data), 1);
  return node_peer_flush(peer) && node_peer_receive(peer, &frame) &&
         frame.command == PUMP_TCP_WRITE_EVENTS_COMPLETED;
}

static void put_subscribe(node_peer *peer, unsigned number, const char *stream, bool resolve_links,
                          const char *login) {
  uint8_t body[128];
  pump_tcp_correlation id = id_of(2, number);
  uint8_t *end = pump_pb_put_bytes(body, 1, stream, strlen(stream));
  end = pump_pb_put_number(end, 2, resolve_links);
  pump_tcp_frame_write(&peer->out, PUMP_TCP_SUBSCRIBE_TO_STREAM, &id, pump_bytes_of(login),
                       pump_bytes_of(login ? "changeit" : NULL),
                       (pump_bytes){(char *)body, (size_t)(end - body)});
}

static bool is_for(const pump_tcp_frame *frame, uint8_t command, unsigned number) {
  pump_tcp_correlation id = id_of(2, number);
  return frame->command == command && memcmp(&frame->correlation, &id, sizeof id) == 0;
}

/* -100: not confirmed; -50: confirmed without a number. */
static int64_t subscribe(node_peer *peer, unsigned number, const char *stream, bool resolve_links,
                         const char *login) {
  pump_tcp_frame frame;
  put_subscribe(peer, number, stream, resolve_links, login);
  if (!node_peer_flush(peer) || !node_peer_receive(peer, &frame)) return -100;
  if (!is_for(&frame, PUMP_TCP_SUBSCRIPTION_CONFIRMATION, number)) return -100;
  ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
  if (!message) return -100;
  PumpTcp__SubscriptionConfirmation *said = (PumpTcp__SubscriptionConfirmation *)(void *)message;
  int64_t last = said->has_last_event_number ? said->last_event_number : -50;
  if (!said->has_last_commit_position) last = -100;
  pump_tcp_unpack_free(message);
  return last;
}

typedef struct pushed {
  char stream[32];
  char type[32];
  int64_t number; /* -1: no event, only a link */
  int64_t link;   /* -1: none */
  int64_t position;
} pushed;

static bool receive_push(node_peer *peer, unsigned number, pushed *what) {
  pump_tcp_frame frame;
  if (!node_peer_receive(peer, &frame)) return false;
  if (!is_for(&frame, PUMP_TCP_STREAM_EVENT_APPEARED, number)) return false;
  ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
  if (!message) return false;
  PumpTcp__ResolvedEvent *event = ((PumpTcp__StreamEventAppeared *)(void *)message)->event;
  *what = (pushed){.number = -1, .link = -1, .position = event->commit_position};
  if (event->event) {
    what->number = event->event->event_number;
    snprintf(what->stream, sizeof what->stream, "%.*s", (int)event->event->event_stream_id.len,
             (char *)event->event->event_stream_id.data);
    snprintf(what->type, sizeof what->type, "%.*s", (int)event->event->event_type.len,
             (char *)event->event->event_type.data);
  }
  if (event->link) what->link = event->link->event_number;
  pump_tcp_unpack_free(message);
  return true;
}

/* Nothing but the pong comes. */
static bool is_quiet(node_peer *peer) {
  pump_tcp_correlation id = id_of(5, 0);
  pump_tcp_frame frame;
  return node_peer_send(peer, PUMP_TCP_PING, &id, NULL, NULL, no_bytes) &&
         node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_PONG;
}

static bool hard_delete(node_peer *peer, const char *stream) {
  pump_tcp_correlation id = id_of(7, 0);
  pump_tcp_frame frame;
  PumpTcp__DeleteStream body = PUMP_TCP__DELETE_STREAM__INIT;
  body.has_event_stream_id = body.has_expected_version = body.has_hard_delete = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream));
  body.expected_version = PUMP_ANY;
  body.hard_delete = true;
  pump_tcp_pack(&peer->out, PUMP_TCP_DELETE_STREAM, &id, no_bytes, no_bytes, &body.base);
  return node_peer_flush(peer) && node_peer_receive(peer, &frame) &&
         frame.command == PUMP_TCP_DELETE_STREAM_COMPLETED;
}

/* ---- What is pushed ----------------------------------------------------------------------- */

static void test_pushing(int port) {
  node_peer peer, writer;
  pushed got;
  node_peer_connect(&peer, port);
  node_peer_connect(&writer, port);
  tap_ok(subscribe(&peer, 1, "a", false, NULL) == -1, "a stream that is not there yet: -1");
  write_event(&writer, "a", "x", "1");
  tap_ok(receive_push(&peer, 1, &got) && got.number == 0 && strcmp(got.stream, "a") == 0,
         "its first event comes");
  tap_ok(subscribe(&peer, 2, "a", false, NULL) == 0, "a second subscriber hears the last number");
  tap_ok(subscribe(&peer, 3, "", false, "admin") == -50, "one to $all hears none");
  write_event(&writer, "b", "x", "1");
  tap_ok(receive_push(&peer, 3, &got) && strcmp(got.stream, "b") == 0, "and gets what is written");
  int64_t position = got.position;
  put_write(&writer, "a", "x", "1", 1, 1);
  put_write(&writer, "b", "x", "1", 1, 1);
  put_write(&writer, "a", "x", "1", 1, 1);
  node_peer_flush(&writer);
  unsigned streams[3] = {0};
  bool is_in_order = true;
  int64_t last[4] = {-1, 0, 0, 0};
  for (int i = 0; i < 7; i++) {
    pump_tcp_frame frame;
    if (!node_peer_receive(&peer, &frame)) break;
    unsigned number = frame.correlation.bytes[0];
    PumpTcp__StreamEventAppeared *said =
        (PumpTcp__StreamEventAppeared *)(void *)pump_tcp_unpack(frame.command, frame.payload);
    if (!said || number < 1 || number > 3) break;
    streams[number - 1]++;
    is_in_order = is_in_order && said->event->commit_position > last[number] &&
                  said->event->commit_position > position;
    last[number] = said->event->commit_position;
    pump_tcp_unpack_free(&said->base);
  }
  tap_ok(streams[0] == 2 && streams[1] == 2 && streams[2] == 3 && is_in_order,
         "each gets what it listens to, in order");
  node_peer_close(&peer);
  node_peer_close(&writer);
}

static void test_unsubscribing(int port) {
  node_peer peer;
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(2, 1);
  node_peer_connect(&peer, port);
  node_peer_send(&peer, PUMP_TCP_UNSUBSCRIBE_FROM_STREAM, &id, NULL, NULL, no_bytes);
  tap_ok(is_quiet(&peer), "unsubscribing from nothing is not answered");
  subscribe(&peer, 1, "u", false, NULL);
  node_peer_send(&peer, PUMP_TCP_UNSUBSCRIBE_FROM_STREAM, &id, NULL, NULL, no_bytes);
  tap_ok(node_peer_receive(&peer, &frame) && is_for(&frame, PUMP_TCP_SUBSCRIPTION_DROPPED, 1) &&
             frame.payload.size == 0,
         "unsubscribing is confirmed");
  tap_ok(write_event(&peer, "u", "x", "1") && is_quiet(&peer), "and nothing more comes");
  subscribe(&peer, 7, "u", false, NULL);
  subscribe(&peer, 7, "v", false, NULL);
  tap_ok(write_event(&peer, "u", "x", "1") && is_quiet(&peer),
         "a subscription that takes the id of another takes its place");
  put_subscribe(&peer, 8, "$system", false, NULL);
  put_subscribe(&peer, 9, "", false, NULL);
  node_peer_flush(&peer);
  bool is_refused = true;
  for (unsigned i = 8; i <= 9; i++)
    is_refused = node_peer_receive(&peer, &frame) &&
                 is_for(&frame, PUMP_TCP_SUBSCRIPTION_DROPPED, i) && frame.payload.size == 2 &&
                 frame.payload.data[1] == 1 && is_refused;
  tap_ok(is_refused, "system streams and $all are not everybody's");
  node_peer_close(&peer);
}

static void test_links(int port) {
  node_peer peer, writer;
  pushed got;
  node_peer_connect(&peer, port);
  node_peer_connect(&writer, port);
  write_event(&writer, "target", "x", "1");
  write_event(&writer, "$secret", "x", "1");
  subscribe(&peer, 1, "links", true, NULL);
  write_event(&writer, "links", "$>", "0@target");
  tap_ok(receive_push(&peer, 1, &got) && got.number == 0 && got.link == 0 &&
             strcmp(got.stream, "target") == 0,
         "a link is resolved");
  write_event(&writer, "links", "$>", "9@target");
  tap_ok(receive_push(&peer, 1, &got) && got.number == -1 && got.link == 1,
         "one that leads nowhere comes without an event");
  write_event(&writer, "links", "$>", "0@$secret");
  tap_ok(receive_push(&peer, 1, &got) && got.number == -1 && got.link == 2,
         "as does one to what this user may not read");
  write_event(&writer, "links", "x", "1");
  tap_ok(receive_push(&peer, 1, &got) && got.number == 3 && got.link == -1,
         "what is no link is itself");
  node_peer plain;
  node_peer_connect(&plain, port);
  subscribe(&plain, 2, "links", false, NULL);
  write_event(&writer, "links", "$>", "0@target");
  tap_ok(receive_push(&plain, 2, &got) && strcmp(got.type, "$>") == 0 && got.link == -1 &&
             receive_push(&peer, 1, &got) && got.link == 4,
         "who does not ask for it gets the link itself");
  node_peer_close(&plain);
  node_peer_close(&peer);
  node_peer_close(&writer);
}

/* ---- What it costs ------------------------------------------------------------------------ */

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double time_writes(node_peer *writer) {
  double start = seconds();
  for (int i = 0; i < 500; i++)
    write_event(writer, "unrelated", "x", "1");
  return seconds() - start;
}

static void test_many(int port) {
  enum { MANY = 10000 };
  node_peer peer, writer;
  pushed got;
  char stream[32];
  pump_tcp_frame frame;
  node_peer_connect(&peer, port);
  node_peer_connect(&writer, port);
  double before = time_writes(&writer);
  unsigned confirmed = 0;
  for (unsigned i = 0; i < MANY; i++) {
    snprintf(stream, sizeof stream, "many-%u", i);
    put_subscribe(&peer, i, stream, false, NULL);
    if (i % 100 != 99) continue;
    node_peer_flush(&peer);
    for (int k = 0; k < 100 && node_peer_receive(&peer, &frame); k++)
      confirmed += frame.command == PUMP_TCP_SUBSCRIPTION_CONFIRMATION;
  }
  tap_ok(confirmed == MANY, "%d subscriptions on one connection", MANY);
  double with = time_writes(&writer);
  for (int i = 0; i < 4 && with >= 3 * before + 0.2; i++) /* the best of some, on a busy machine */
    with = time_writes(&writer);
  tap_ok(with < 3 * before + 0.2, "cost what they do not hear nothing (%.0f ms, %.0f ms before)",
         with * 1000, before * 1000);
  write_event(&writer, "many-7777", "x", "1");
  tap_ok(receive_push(&peer, 7777, &got) && is_quiet(&peer), "and each hears its own");
  node_peer_close(&peer);
  node_peer_close(&writer);
}

/* Forty megabytes in large events, then many small ones. */
static void write_much(node_peer *writer, unsigned lots, unsigned per_lot, size_t size) {
  char *data = calloc(1, size);
  pump_tcp_frame frame;
  for (unsigned i = 0; i < lots; i++) {
    put_write(writer, "much", "x", data, size, per_lot);
    node_peer_flush(writer);
    node_peer_receive(writer, &frame);
  }
  free(data);
}

static bool receive_much(node_peer *peer, unsigned count, int64_t first) {
  pushed got;
  for (unsigned i = 0; i < count; i++) {
    if (!receive_push(peer, 1, &got) || got.number != first + i) return false;
  }
  return true;
}

static void test_slow_reader(int port) {
  node_peer slow, fast, writer;
  node_peer_connect(&slow, port);
  node_peer_connect(&fast, port);
  node_peer_connect(&writer, port);
  subscribe(&slow, 1, "much", false, NULL);
  subscribe(&fast, 1, "much", false, NULL);
  bool is_good = true;
  double start = seconds();
  for (unsigned i = 0; i < 10; i++) {
    write_much(&writer, 1, 4, 1 << 20);
    is_good = receive_much(&fast, 4, (int64_t)i * 4) && is_good;
  }
  /* Who is held up waits for as long as patience lasts. */
  tap_ok(is_good && seconds() - start < PEER_PATIENCE * slowness() / 2.0,
         "who does not read holds up nobody");
  tap_ok(receive_much(&slow, 40, 0), "and is told of everything when it does, in order");
  write_event(&writer, "much", "x", "1");
  tap_ok(receive_much(&slow, 1, 40) && receive_much(&fast, 1, 40), "and then of what is new");
  node_peer_close(&slow);
  node_peer_close(&fast);
  node_peer_close(&writer);
}

/* One who lags behind with four subscriptions, two of them to one stream: each gets its own. */
static void test_many_ears(int port) {
  enum { LOTS = 12, SMALL = 50 };
  node_peer slow, writer;
  pump_tcp_frame frame;
  unsigned came[5] = {0}, wanted[5] = {0, LOTS, LOTS, SMALL, LOTS + SMALL};
  node_peer_connect(&slow, port);
  node_peer_connect(&writer, port);
  bool is_good = subscribe(&slow, 1, "much", false, NULL) >= 0 &&
                 subscribe(&slow, 2, "much", false, NULL) >= 0 &&
                 subscribe(&slow, 3, "little", false, NULL) == -1 &&
                 subscribe(&slow, 4, "", false, "admin") == -50;
  write_much(&writer, LOTS, 1, 1 << 20);
  for (int i = 0; i < SMALL; i++)
    write_event(&writer, "little", "x", "1");
  for (int left = 3 * LOTS + 2 * SMALL; left > 0 && node_peer_receive(&slow, &frame); left--)
    for (unsigned i = 1; i < 5; i++)
      came[i] += is_for(&frame, PUMP_TCP_STREAM_EVENT_APPEARED, i);
  tap_ok(is_good && memcmp(came, wanted, sizeof came) == 0 && is_quiet(&slow),
         "who lags behind gets for each subscription its own (%u, %u, %u, %u)", came[1], came[2],
         came[3], came[4]);
  node_peer_close(&slow);
  node_peer_close(&writer);
}

/* And gives it half a second, which is more than it takes. */
static bool scavenge(node_peer *peer) {
  pump_tcp_correlation id = id_of(6, 0);
  pump_tcp_frame frame;
  bool has_begun =
      node_peer_send(peer, PUMP_TCP_SCAVENGE_DATABASE, &id, "admin", "changeit", no_bytes) &&
      node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_SCAVENGE_DATABASE_RESPONSE;
  usleep(500000);
  return has_begun;
}

/* What is hidden and scavenged while somebody lags behind is theirs all the same. */
static void test_lagging(int port) {
  node_peer slow, writer;
  node_peer_connect(&slow, port);
  node_peer_connect(&writer, port);
  int64_t first = subscribe(&slow, 1, "much", false, NULL) + 1;
  write_much(&writer, 12, 1, 1 << 20);
  tap_ok(write_event(&writer, "$$much", "$metadata", "{\"$maxCount\":1}") && scavenge(&writer) &&
             receive_much(&slow, 12, first),
         "what is hidden and scavenged while somebody lags behind comes all the same");
  node_peer_close(&slow);
  node_peer_close(&writer);
}

/* Whoever takes nothing at all is cut; the last words wait for it a second. */
static void test_too_slow(int port) {
  node_peer slow, writer;
  pump_tcp_frame frame;
  node_peer_connect(&slow, port);
  node_peer_connect(&writer, port);
  subscribe(&slow, 1, "much", false, NULL);
  write_much(&writer, 1500, 100, 100);
  unsigned pushes = 0;
  bool is_told = false, is_cut = false;
  while (pushes < 150000 && !is_told && !is_cut) {
    is_cut = !node_peer_receive(&slow, &frame);
    pushes += !is_cut && frame.command == PUMP_TCP_STREAM_EVENT_APPEARED;
    is_told = !is_cut && frame.command == PUMP_TCP_BAD_REQUEST &&
              pump_bytes_starts(frame.payload, "Connection queue size is too large: ");
  }
  char byte;
  is_cut = is_cut || (is_told && recv(slow.fd, &byte, 1, 0) <= 0);
  tap_ok(is_cut && pushes < 150000,
         "who lags 50000 events behind is cut (after %u), and told so if it reads in time (%s)",
         pushes, is_told ? "it did" : "it did not");
  tap_ok(is_quiet(&writer), "nobody else is");
  node_peer_close(&slow);
  node_peer_close(&writer);
}

/* Clients of before 4.0 count in 32 bits. */
static void test_old(int port) {
  node_peer old, zero, now, writer;
  pushed got[4] = {{.number = 0}};
  node_peer_connect(&old, port);
  node_peer_connect(&zero, port);
  node_peer_connect(&now, port);
  node_peer_connect(&writer, port);
  node_peer_identify(&zero, 0);
  node_peer_identify(&now, 1);
  subscribe(&old, 1, "old", false, NULL);
  subscribe(&zero, 1, "old", true, NULL);
  subscribe(&now, 1, "old", false, NULL);
  subscribe(&now, 2, "old", true, NULL);
  bool is_good = hard_delete(&writer, "old");
  is_good = receive_push(&old, 1, &got[0]) && receive_push(&zero, 1, &got[1]) && is_good;
  /* Who subscribed last is told first. */
  is_good = receive_push(&now, 2, &got[2]) && receive_push(&now, 1, &got[3]) && is_good;
  tap_ok(is_good && got[0].number == INT32_MAX && got[1].number == INT32_MAX,
         "who has not identified gets the tombstone's number in 32 bits");
  tap_ok(got[2].number == INT64_MAX && got[3].number == INT64_MAX, "and who has in 64");
  tap_ok(subscribe(&old, 2, "old", false, NULL) == INT32_MAX &&
             subscribe(&now, 3, "old", false, NULL) == INT64_MAX,
         "the same when they subscribe");
  node_peer beyond;
  pump_tcp_frame frame;
  pump_tcp_correlation id = id_of(5, 0);
  node_peer_connect(&beyond, port);
  bool is_refused = node_peer_identify(&beyond, 2) &&
                    node_peer_send(&beyond, PUMP_TCP_PING, &id, NULL, NULL, no_bytes) &&
                    node_peer_receive(&beyond, &frame) && frame.command == PUMP_TCP_BAD_REQUEST;
  tap_ok(is_refused, "a version that no server knows is of no use");
  node_peer_close(&old);
  node_peer_close(&zero);
  node_peer_close(&now);
  node_peer_close(&beyond);
  node_peer_close(&writer);
}

int main(void) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.listen = "127.0.0.1:0";
  node_child child = node_child_start(&options);
  if (!tap_ok(child.port != 0, "the node starts")) return tap_done();
  test_pushing(child.port);
  test_unsubscribing(child.port);
  test_links(child.port);
  test_old(child.port);
  test_many(child.port);
  test_slow_reader(child.port);
  test_many_ears(child.port);
  test_lagging(child.port);
  test_too_slow(child.port);
  tap_ok(node_child_stop(&child), "and ends with nothing open");
  return tap_done();
}
