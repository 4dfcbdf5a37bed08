/* The embedded node as a program: what peers that are many, or misbehave, can't do to it and to
 * others. */
#include "tap.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "node_child.h"
#include "wire/protobuf.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

static pump_node_options options_of(const char *file) {
  pump_node_options options;
  pump_node_options_init(&options);
  options.file = file;
  options.listen = "127.0.0.1:0";
  return options;
}

/* A write of one event whose id and correlation id are its number. */
static void put_write(pump_buffer *out, const char *stream, unsigned number, size_t size) {
  static char data[1 << 20];
  pump_tcp_correlation id = {{0}};
  pump_new_event event = {.type = pump_bytes_of("t"), .data = {data, size}};
  memset(data, 'a' + (int)(number % 26), size);
  memcpy(id.bytes, &number, sizeof number);
  id.bytes[15] = 1;
  memcpy(event.id.bytes, id.bytes, sizeof event.id.bytes);
  pump_tcp_encode_write(out, &id, (pump_bytes){0}, (pump_bytes){0}, pump_bytes_of(stream), PUMP_ANY,
                        false, &event, 1);
}

static unsigned number_of(const pump_tcp_frame *frame) {
  unsigned number;
  memcpy(&number, frame->correlation.bytes, sizeof number);
  return number;
}

static void put_read(pump_buffer *out, uint8_t command, const char *stream, int64_t from,
                     int count) {
  uint8_t body[128];
  static const pump_tcp_correlation id = {{7}};
  uint8_t *end = pump_pb_put_bytes(body, 1, stream, strlen(stream));
  end = pump_pb_put_number(end, 2, (uint64_t)from);
  end = pump_pb_put_number(end, 3, (uint64_t)count);
  pump_tcp_frame_write(out, command, &id, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){(char *)body, (size_t)(end - body)});
}

static bool ping(node_peer *peer) {
  static const pump_tcp_correlation id = {{5}};
  pump_tcp_frame frame;
  return node_peer_send(peer, PUMP_TCP_PING, &id, NULL, NULL, pump_bytes_of("hello")) &&
         node_peer_receive(peer, &frame) && frame.command == PUMP_TCP_PONG &&
         pump_bytes_is(frame.payload, "hello");
}

static bool is_success(const pump_tcp_frame *frame) {
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->payload);
  bool is = frame->command == PUMP_TCP_WRITE_EVENTS_COMPLETED && message &&
            ((PumpTcp__WriteEventsCompleted *)(void *)message)->result ==
                PUMP_TCP__OPERATION_RESULT__OPERATION_SUCCESS;
  if (message) pump_tcp_unpack_free(message);
  return is;
}

/* ---- Peers -------------------------------------------------------------------------------- */

static void test_pipelining(node_child *child) {
  node_peer peer;
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  bool is_in_order = true;
  for (unsigned i = 0; i < 500; i++)
    put_write(&peer.out, "pipeline", i, 10);
  put_read(&peer.out, PUMP_TCP_READ_STREAM_FORWARD, "pipeline", 499, 1);
  node_peer_flush(&peer);
  for (unsigned i = 0; i < 500; i++)
    is_in_order = node_peer_receive(&peer, &frame) && is_success(&frame) &&
                  number_of(&frame) == i && is_in_order;
  tap_ok(is_in_order, "500 writes at once are answered, in order");
  tap_ok(node_peer_receive(&peer, &frame) && frame.payload.size > 40,
         "and a read behind them sees the last");
  node_peer_close(&peer);
}

static void test_slow_bytes(node_child *child) {
  node_peer peer;
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  put_write(&peer.out, "slow", 1, 20);
  for (size_t i = 0; i < peer.out.size; i++) {
    node_peer_send_bytes(&peer, peer.out.data + i, 1);
    usleep(300);
  }
  pump_buffer_clear(&peer.out);
  tap_ok(node_peer_receive(&peer, &frame) && is_success(&frame),
         "a frame that comes byte by byte is a frame");
  node_peer_close(&peer);
}

/* Asks for far more than it reads. */
static void test_slow_reader(node_child *child) {
  node_peer slow, other;
  node_peer_connect(&slow, child->port);
  node_peer_connect(&other, child->port);
  pump_tcp_frame frame;
  for (unsigned i = 0; i < 20; i++) {
    put_write(&other.out, "large", 1000 + i, 1 << 20);
    node_peer_flush(&other);
    node_peer_receive(&other, &frame);
  }
  for (int i = 0; i < 12; i++)
    put_read(&slow.out, PUMP_TCP_READ_STREAM_FORWARD, "large", 0, 20);
  node_peer_flush(&slow);
  usleep(100000);
  tap_ok(ping(&other), "a peer that does not read holds up nobody");
  int pages = 0;
  while (pages < 12 && node_peer_receive(&slow, &frame) && frame.payload.size > 20u << 20)
    pages++;
  tap_ok(pages == 12, "and gets its %d large pages when it does", pages);
  node_peer_close(&slow);
  node_peer_close(&other);
}

static size_t page_size(node_peer *peer) {
  pump_tcp_frame frame;
  put_read(&peer->out, PUMP_TCP_READ_STREAM_FORWARD, "large", 0, 20);
  node_peer_flush(peer);
  return node_peer_receive(peer, &frame) ? frame.payload.size : 0;
}

/* The first that is no smaller and no larger, or the last of many. */
static size_t page_size_within(node_peer *peer, size_t least, size_t most) {
  size_t size = page_size(peer);
  for (int i = 0; i < 100 && (size < least || size > most); i++) {
    usleep(100000);
    size = page_size(peer);
  }
  return size;
}

/* Many that read nothing make others' pages smaller, not the node's memory larger. */
static void test_pressure(node_child *child) {
  enum { DEAF = 20 };
  node_peer deaf[DEAF], other;
  node_peer_connect(&other, child->port);
  size_t before = page_size(&other);
  for (int i = 0; i < DEAF; i++) {
    node_peer_connect(&deaf[i], child->port);
    put_read(&deaf[i].out, PUMP_TCP_READ_STREAM_FORWARD, "large", 0, 20);
    node_peer_flush(&deaf[i]);
  }
  size_t pressed = page_size_within(&other, 0, 3u << 20);
  for (int i = 0; i < DEAF; i++)
    node_peer_close(&deaf[i]);
  size_t after = page_size_within(&other, before, before);
  tap_ok(before > 20u << 20 && pressed > 1u << 20 && pressed < 3u << 20 && after == before,
         "a page of %zu bytes has %zu while too much is left unread", before, pressed);
  node_peer_close(&other);
}

static void test_silence(node_child *child) {
  node_peer silent, talking;
  node_peer_connect(&silent, child->port);
  node_peer_connect(&talking, child->port);
  node_peer_alone(&silent);
  node_peer_alone(&talking);
  uint8_t bytes[256];
  ssize_t got = recv(silent.fd, bytes, sizeof bytes, 0);
  tap_ok(got == PUMP_TCP_HEAD_SIZE && bytes[4] == PUMP_TCP_HEARTBEAT_REQUEST,
         "a silent peer is asked for a sign of life");
  node_peer_send(&talking, PUMP_TCP_HEARTBEAT_RESPONSE, &(pump_tcp_correlation){{1}}, NULL, NULL,
                 (pump_bytes){0});
  tap_ok(recv(silent.fd, bytes, sizeof bytes, 0) == 0, "and cut off when it gives none");
  tap_ok(ping(&talking), "one that answers is not");
  node_peer_close(&silent);
  node_peer_close(&talking);
}

static void test_garbage(node_child *child) {
  node_peer peer, other;
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  node_peer_connect(&other, child->port);
  static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  node_peer_send_bytes(&peer, http, sizeof http - 1);
  static const pump_tcp_correlation nobody;
  bool is_refused = node_peer_receive(&peer, &frame) && frame.command == PUMP_TCP_BAD_REQUEST &&
                    memcmp(&frame.correlation, &nobody, sizeof nobody) == 0;
  if (!is_refused) frame.payload.size = 0;
  tap_ok(is_refused, "what is no frame is a bad request: %.*s", (int)frame.payload.size,
         frame.payload.data);
  char byte;
  tap_ok(recv(peer.fd, &byte, 1, 0) == 0, "and the end of the connection");
  tap_ok(ping(&other), "not of others");
  node_peer_close(&peer);
  node_peer_close(&other);
}

static int scavenge(node_peer *peer, const char *login, char id[64]) {
  static const pump_tcp_correlation correlation = {{6}};
  pump_tcp_frame frame;
  int result = -1;
  node_peer_send(peer, PUMP_TCP_SCAVENGE_DATABASE, &correlation, login, "changeit",
                 (pump_bytes){0});
  if (!node_peer_receive(peer, &frame)) return -1;
  PumpTcp__ScavengeDatabaseResponse *said =
      (PumpTcp__ScavengeDatabaseResponse *)(void *)pump_tcp_unpack(frame.command, frame.payload);
  if (frame.command == PUMP_TCP_SCAVENGE_DATABASE_RESPONSE && said) result = (int)said->result;
  snprintf(id, 64, "%.*s", said ? (int)said->scavenge_id.len : 0,
           said ? (char *)said->scavenge_id.data : "");
  if (said) pump_tcp_unpack_free(&said->base);
  return result;
}

static void test_scavenge(node_child *child) {
  node_peer peer;
  char id[64], same[64];
  node_peer_connect(&peer, child->port);
  tap_ok(scavenge(&peer, NULL, id) == PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED && !*id,
         "a scavenge is not for everybody");
  tap_ok(scavenge(&peer, "ops", id) == PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_STARTED &&
             strlen(id) == 36,
         "ops may start one");
  tap_ok(scavenge(&peer, "admin", same) == PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_IN_PROGRESS &&
             strcmp(id, same) == 0,
         "which goes on");
  int result = -1;
  for (int i = 0; i < 200 && result != PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_STARTED; i++) {
    usleep(200000);
    result = scavenge(&peer, "admin", same);
  }
  tap_ok(result == PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_STARTED && strcmp(id, same) != 0,
         "until it is through");
  node_peer_close(&peer);
}

/* How many events "$scavenges" or one like it has, all of its kind; -1: others too. */
static int count_told(node_peer *peer, const char *stream) {
  PumpTcp__ReadStreamEvents body = PUMP_TCP__READ_STREAM_EVENTS__INIT;
  static const pump_tcp_correlation id = {{8}};
  pump_tcp_frame frame;
  body.has_event_stream_id = body.has_max_count = body.has_resolve_link_tos = true;
  body.event_stream_id = pump_tcp_binary(pump_bytes_of(stream));
  body.max_count = 100;
  body.resolve_link_tos = true;
  pump_tcp_pack(&peer->out, PUMP_TCP_READ_STREAM_FORWARD, &id, pump_bytes_of("ops"),
                pump_bytes_of("changeit"), &body.base);
  if (!node_peer_flush(peer) || !node_peer_receive(peer, &frame)) return -1;
  PumpTcp__ReadStreamEventsCompleted *said =
      (PumpTcp__ReadStreamEventsCompleted *)(void *)pump_tcp_unpack(frame.command, frame.payload);
  int count = said ? (int)said->n_events : -1;
  for (size_t i = 0; said && i < said->n_events; i++) {
    const PumpTcp__EventRecord *event = said->events[i]->event;
    if (!event || !pump_bytes_starts(pump_tcp_view(event->event_type), "$scavenge")) count = -1;
  }
  if (said) pump_tcp_unpack_free(&said->base);
  return count;
}

/* How many of the newest events in $all are in this stream. */
static int count_newest(node_peer *peer, const char *stream) {
  PumpTcp__ReadAllEvents body = PUMP_TCP__READ_ALL_EVENTS__INIT;
  static const pump_tcp_correlation id = {{9}};
  pump_tcp_frame frame;
  int count = 0;
  body.has_commit_position = body.has_prepare_position = body.has_max_count = true;
  body.commit_position = body.prepare_position = -1;
  body.max_count = 200;
  pump_tcp_pack(&peer->out, PUMP_TCP_READ_ALL_BACKWARD, &id, pump_bytes_of("admin"),
                pump_bytes_of("changeit"), &body.base);
  if (!node_peer_flush(peer) || !node_peer_receive(peer, &frame)) return -1;
  PumpTcp__ReadAllEventsCompleted *said =
      (PumpTcp__ReadAllEventsCompleted *)(void *)pump_tcp_unpack(frame.command, frame.payload);
  for (size_t i = 0; said && i < said->n_events; i++)
    count += pump_bytes_is(pump_tcp_view(said->events[i]->event->event_stream_id), stream);
  if (said) pump_tcp_unpack_free(&said->base);
  return count;
}

/* From the beginning to the end of a new one. */
static bool scavenge_all(node_peer *peer, char stream[80]) {
  char id[64];
  bool has_begun = false;
  for (int i = 0; i < 300 && !has_begun; i++) {
    has_begun = scavenge(peer, "ops", id) == PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_STARTED;
    if (!has_begun) usleep(100000);
  }
  snprintf(stream, 80, "$scavenges-%s", id);
  for (int i = 0; i < 300; i++) {
    if (count_told(peer, stream) == 2) return has_begun;
    usleep(100000);
  }
  return false;
}

static void test_scavenges(node_child *child) {
  node_peer peer;
  char stream[80];
  pump_tcp_frame frame;
  node_peer_connect(&peer, child->port);
  bool is_over = scavenge_all(&peer, stream);
  int before = count_told(&peer, "$scavenges");
  for (unsigned i = 0; i < 10; i++)
    put_write(&peer.out, "twice", 9000 + i, 10);
  static const char few[] = "{\"$maxCount\":1}";
  pump_new_event metadata = {.id = {{9, 9}},
                             .type = pump_bytes_of("$metadata"),
                             .data = {few, sizeof few - 1},
                             .is_json = true};
  pump_tcp_encode_write(&peer.out, &(pump_tcp_correlation){{1}}, (pump_bytes){0}, (pump_bytes){0},
                        pump_bytes_of("$$twice"), PUMP_ANY, false, &metadata, 1);
  node_peer_flush(&peer);
  for (int i = 0; i < 11; i++)
    node_peer_receive(&peer, &frame);
  int had = count_newest(&peer, "twice");
  is_over = is_over && scavenge_all(&peer, stream);
  tap_ok(is_over && count_told(&peer, "$scavenges") == before + 2,
         "$scavenges tells when one begins and ends");
  tap_ok(had == 10 && count_newest(&peer, "twice") == 1,
         "and a second one takes what the first could not see (%d of %d are left)",
         count_newest(&peer, "twice"), had);
  node_peer_close(&peer);
}

/* As many connections as may be are served, one more is not; each is answered. */
static void test_crowd(node_child *child) {
  enum { CROWD = 2000 };
  static node_peer peers[CROWD];
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < CROWD + 100) {
    tap_ok(true, "a crowd # SKIP this shell allows %d open files", (int)limit.rlim_cur);
    return;
  }
  int served = 0, pongs = 0;
  for (int i = 0; i < CROWD; i++)
    served += node_peer_connect(&peers[i], child->port) && ping(&peers[i]);
  node_peer late;
  bool is_served = node_peer_connect(&late, child->port) && ping(&late);
  for (int i = 0; i < CROWD; i++) {
    put_write(&peers[i].out, "crowd", 5000 + (unsigned)i, 100);
    node_peer_flush(&peers[i]);
  }
  pump_tcp_frame frame;
  for (int i = 0; i < CROWD; i++)
    pongs += node_peer_receive(&peers[i], &frame) && is_success(&frame);
  tap_ok(served == CROWD && !is_served, "%d peers are served, no more", served);
  tap_ok(pongs == CROWD, "and all of them write at once (%d)", pongs);
  node_peer_close(&late);
  for (int i = 0; i < CROWD; i++)
    node_peer_close(&peers[i]);
}

/* Where the page of $all behind that position goes on, as admin sees it; false where none came. */
static bool next_of_all(node_peer *peer, int64_t commit, int64_t prepare, int64_t next[2]) {
  uint8_t body[64];
  static const pump_tcp_correlation id = {{8}};
  uint8_t *end = pump_pb_put_number(body, 1, (uint64_t)commit);
  end = pump_pb_put_number(end, 2, (uint64_t)prepare);
  end = pump_pb_put_number(end, 3, 100);
  pump_tcp_frame frame;
  if (!node_peer_send(peer, PUMP_TCP_READ_ALL_FORWARD, &id, "admin", "changeit",
                      (pump_bytes){(char *)body, (size_t)(end - body)}) ||
      !node_peer_receive(peer, &frame))
    return false;
  ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
  if (!message) return false;
  const PumpTcp__ReadAllEventsCompleted *got = (const void *)message;
  next[0] = got->next_commit_position;
  next[1] = got->next_prepare_position;
  pump_tcp_unpack_free(message);
  return true;
}

/* As node.jsonl and photonpump.jsonl have it, at positions of their servers. */
static void test_end_of_all(void) {
  pump_node_options options = options_of(NULL);
  node_child child = node_child_start(&options);
  node_peer peer;
  int64_t first[2] = {-1, -1}, same[2] = {-1, -1}, behind[2] = {-1, -1};
  node_peer_connect(&peer, child.port);
  tap_ok(next_of_all(&peer, 0, 0, first) && first[0] > 0 && first[1] == 0 &&
             next_of_all(&peer, first[0], first[1], same) && same[0] == first[0] && same[1] == 0,
         "the end of $all goes on where it was asked for (%lld, %lld)", (long long)same[0],
         (long long)same[1]);
  tap_ok(next_of_all(&peer, first[0], first[0], behind) && behind[1] == first[0],
         "whatever prepare position that has");
  node_peer_close(&peer);
  tap_ok(node_child_stop(&child), "it ends with nothing open");
}

static void test_like_4(void) {
  pump_node_options options = options_of(NULL);
  options.like = "4.1";
  node_child child = node_child_start(&options);
  node_peer peer;
  char text[64];
  node_peer_connect(&peer, child.port);
  int refused = scavenge(&peer, NULL, text);
  tap_ok(refused == PUMP_TCP__SCAVENGE_RESULT__SCAVENGE_UNAUTHORIZED &&
             strcmp(text, "Access denied.") == 0,
         "4.1 has words for those who may start no scavenge");
  int result = scavenge(&peer, "admin", text);
  tap_ok(result == 0 && !*text && count_told(&peer, "$scavenges") == 2,
         "and answers others when theirs is over (%d)", count_told(&peer, "$scavenges"));
  node_peer_close(&peer);
  tap_ok(node_child_stop(&child), "it ends with nothing open");
}

/* The others have to be strangers for a while before there is. */
static bool find_room(node_peer *peer, int port) {
  bool is_served = node_peer_connect(peer, port) && ping(peer);
  for (int i = 0; i < 100 && !is_served; i++) {
    node_peer_close(peer);
    usleep(100000);
    is_served = node_peer_connect(peer, port) && ping(peer);
  }
  return is_served;
}

/* A place is for those who want something; and a frame has to come to an end. */
static void test_strangers(void) {
  enum { ALL = 2000, TRICKLING = 20, SECONDS = 7, MOST_SECONDS = 60 };
  static node_peer peers[ALL];
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < ALL + 100) {
    tap_ok(true, "strangers # SKIP this shell allows %d open files", (int)limit.rlim_cur);
    return;
  }
  pump_node_options options = options_of(NULL);
  node_child child = node_child_start(&options);
  static const char frame[4096] = "\xff\xff\0\0\x82";
  node_peer late, later;
  int came = 0, cut = 0, there = 0;
  for (int i = 0; i < ALL; i++)
    came += node_peer_connect(&peers[i], child.port);
  for (int i = 0; i < TRICKLING; i++)
    node_peer_alone(&peers[i]);
  bool was_full = !node_peer_connect(&late, child.port) || !ping(&late);
  node_peer_close(&late);
  for (int tick = 0; tick < SECONDS * 10 || (cut < TRICKLING && tick < MOST_SECONDS * 10); tick++) {
    cut = 0;
    for (int i = 0; i < TRICKLING; i++)
      cut += send(peers[i].fd, &frame[tick], 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0;
    node_peers_live();
    usleep(100000);
  }
  tap_ok(came == ALL && was_full && cut == TRICKLING,
         "%d that send half a frame byte by byte are cut loose", cut);
  bool is_served = true;
  for (int i = 0; i < TRICKLING; i++) {
    node_peer_close(&peers[i]);
    is_served = node_peer_connect(&peers[i], child.port) && ping(&peers[i]) && is_served;
  }
  is_served = find_room(&late, child.port) && find_room(&later, child.port) && is_served;
  for (int i = 0; i < ALL; i++)
    there += ping(&peers[i]);
  tap_ok(is_served && there == ALL - 2,
         "two of those who never asked for anything make room for two others (%d are left)", there);
  node_peer_close(&late);
  node_peer_close(&later);
  for (int i = 0; i < ALL; i++)
    node_peer_close(&peers[i]);
  tap_ok(node_child_stop(&child), "it ends with nothing open");
}

/* What a frame says that it will bring counts before it comes. */
static void test_weight(node_child *child) {
  enum { ALL = 9 };
  node_peer peers[ALL], other;
  pump_tcp_frame frame;
  static const char head[] = {0, 0, (char)0xc0, 3, (char)0x82, 0}; /* 60 MiB */
  for (int i = 0; i < ALL; i++) {
    node_peer_connect(&peers[i], child->port);
    node_peer_send_bytes(&peers[i], head, sizeof head);
    usleep(20000);
  }
  bool is_refused = node_peer_receive(&peers[ALL - 1], &frame) &&
                    frame.command == PUMP_TCP_BAD_REQUEST &&
                    pump_bytes_is(frame.payload, "Too many bytes are in flight.");
  tap_ok(is_refused, "of nine frames of 60 MiB at once one is too many");
  node_peer_close(&peers[0]);
  node_peer_close(&peers[ALL - 1]);
  node_peer_connect(&other, child->port);
  node_peer_send_bytes(&other, head, sizeof head);
  usleep(50000);
  char byte;
  tap_ok(recv(other.fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN,
         "where one is gone there is room for another");
  for (int i = 1; i < ALL - 1; i++)
    node_peer_close(&peers[i]);
  node_peer_close(&other);
}

/* ---- In this process ---------------------------------------------------------------------- */

static void refuses(pump_node_options options, const char *words) {
  uv_loop_t loop;
  pump_node *node;
  char error[256] = "";
  uv_loop_init(&loop);
  int code = pump_node_new(&node, &loop, &options, error, sizeof error);
  bool is_clean = uv_loop_close(&loop) == 0;
  tap_ok(code != 0 && !node && is_clean && strstr(error, words) && !strchr(error, '\n'),
         "refused: %s", error);
}

static void test_options(const node_child *child) {
  pump_node_options options = options_of(NULL);
  options.listen = "0.0.0.0:0";
  refuses(options, "insecure_listen");
  options.listen = "[::]:0";
  refuses(options, "insecure_listen");
  options.listen = "nonsense";
  refuses(options, "HOST:PORT");
  options.listen = "127.0.0.1:70000";
  refuses(options, "HOST:PORT");
  char taken[32];
  snprintf(taken, sizeof taken, "127.0.0.1:%d", child->port);
  options.listen = taken;
  refuses(options, "in use");
  options = options_of("/tmp/no-such-folder/x.db");
  refuses(options, "No such file");
  options = options_of(NULL);
  options.like = "3.9";
  refuses(options, "3.9");
}

static void on_closed(void *ud) {
  ++*(int *)ud;
}

static void test_owner(void) {
  uv_loop_t loop;
  pump_node *node;
  char error[256];
  pump_node_options options = options_of(NULL);
  options.listen = NULL;
  uv_loop_init(&loop);
  int fd = -1, closed = 0;
  bool is_open = pump_node_new(&node, &loop, &options, error, sizeof error) == 0 &&
                 pump_node_opener(node, &fd) == 0;
  tap_ok(is_open && !pump_node_address(node), "a node that does not listen is open to its owner");
  node_peer peer = {.fd = fd};
  pump_tcp_frame frame;
  pump_tcp_reader_init(&peer.reader, PUMP_MAX_FRAME);
  put_write(&peer.out, "$system", 1, 10);
  node_peer_flush(&peer);
  for (int i = 0; i < 5; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
  tap_ok(node_peer_receive(&peer, &frame) && is_success(&frame), "who acts as admin");
  pump_node_close(node, on_closed, &closed);
  tap_ok(pump_node_opener(node, &(int){0}) == PUMP_ECLOSED, "a node that closes opens nothing");
  uv_run(&loop, UV_RUN_DEFAULT);
  char byte;
  tap_ok(closed == 1 && recv(fd, &byte, 1, 0) == 0, "closing ends connections and says so once");
  tap_ok(uv_loop_close(&loop) == 0, "and leaves nothing on the loop");
  node_peer_close(&peer);
}

int main(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  pump_node_options options = options_of(NULL);
  node_child child = node_child_start(&options);
  test_pipelining(&child);
  test_slow_bytes(&child);
  test_garbage(&child);
  test_slow_reader(&child);
  test_pressure(&child);
  test_crowd(&child);
  test_weight(&child);
  test_silence(&child);
  test_scavenge(&child);
  test_scavenges(&child);
  test_options(&child);
  tap_ok(node_child_stop(&child), "after all that it ends with nothing open");
  test_end_of_all();
  test_like_4();
  test_strangers();
  test_owner();
  return tap_done();
}
