/* Groups of a node without memory, and with more than it holds back: whatever ends the connection of
 * a consumer while it is given an event, every event comes to the next one. The node is in this
 * process, so that each of its allocations can fail in turn. */
#include "starve.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <pump_node.h>
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/guid.h"
#include "slow.h"
#include "wire/protobuf.h"
#include "wire/tcp/command.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

enum { EVENTS = 20, LARGE = 4000000, SPACE = 5000000 };

static uv_loop_t loop;
static pump_node *node;
static uint8_t spaces[3][SPACE];
static char data[LARGE];

typedef struct peer {
  int fd;
  uint8_t *space;
  size_t size; /* of what stands there */
  bool has_ended;
  pump_buffer out;
  size_t sent;            /* of that */
  unsigned times[EVENTS]; /* how often each event came */
  uint64_t spoke;         /* when it last said that it lives */
} peer;

/* ---- The wire ----------------------------------------------------------------------------- */

static pump_guid id_of(unsigned number) {
  pump_guid id = {{1}};
  memcpy(id.bytes + 8, &number, sizeof number);
  return id;
}

static pump_tcp_correlation correlation_of(uint8_t number) {
  return (pump_tcp_correlation){{number, 7}};
}

static bool come(peer *it, int number) {
  *it = (peer){.space = spaces[number]};
  pump_buffer_init(&it->out);
  return pump_node_opener(node, &it->fd) == 0;
}

/* What the node said, as far as it is whole. */
static void take(peer *it) {
  size_t at = 0, size;
  for (; at + 4 <= it->size && at + (size = pump_tcp_frame_size(it->space + at)) <= it->size;
       at += size) {
    pump_tcp_frame frame;
    pump_tcp_frame_at(it->space + at, &frame);
    if (frame.command != PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED) continue;
    ProtobufCMessage *message = pump_tcp_unpack(frame.command, frame.payload);
    if (!message) continue;
    const PumpTcp__EventRecord *event =
        ((const PumpTcp__PersistentSubscriptionStreamEventAppeared *)(void *)message)->event->event;
    if (event && event->event_number < EVENTS) it->times[event->event_number]++;
    pump_tcp_unpack_free(message);
  }
  it->size -= at;
  memmove(it->space, it->space + at, it->size);
}

/* Each second: nobody is cut here for being silent. */
static void live(peer *it) {
  pump_tcp_correlation id = correlation_of(9);
  if (uv_hrtime() < it->spoke + 1000000000) return;
  it->spoke = uv_hrtime();
  starve_state before = starve_pause();
  pump_tcp_frame_write(&it->out, PUMP_TCP_HEARTBEAT_RESPONSE, &id, (pump_bytes){0}, (pump_bytes){0},
                       (pump_bytes){0});
  starve_go_on(before);
}

/* One turn of the node, and what goes to and fro; only the node lacks memory. */
static void turn(peer *it) {
  live(it);
  size_t left = it->out.size - it->sent;
  if (!it->has_ended && left > 0) {
    ssize_t sent = send(it->fd, it->out.data + it->sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
    it->sent += sent > 0 ? (size_t)sent : 0;
    it->has_ended = sent < 0 && errno != EAGAIN;
  }
  uv_run(&loop, UV_RUN_NOWAIT);
  starve_state before = starve_pause();
  if (!it->has_ended) {
    ssize_t got = recv(it->fd, it->space + it->size, SPACE - it->size, MSG_DONTWAIT);
    if (got > 0) it->size += (size_t)got;
    it->has_ended = got == 0 || (got < 0 && errno != EAGAIN);
    take(it);
  }
  starve_go_on(before);
}

static unsigned count_of(const peer *it, unsigned events) {
  unsigned count = 0;
  for (unsigned i = 0; i < events; i++)
    count += it->times[i] > 0;
  return count;
}

/* Until so many events came, or the connection ended, or for so long. */
static void run(peer *it, unsigned events, unsigned ms) {
  uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000 * (unsigned)slowness();
  while (uv_hrtime() < end && !it->has_ended && count_of(it, events) < events)
    turn(it);
}

static void leave(peer *it) {
  starve_state before = starve_pause();
  close(it->fd);
  pump_buffer_free(&it->out);
  for (int i = 0; i < 20; i++)
    uv_run(&loop, UV_RUN_NOWAIT);
  starve_go_on(before);
}

/* ---- What is asked ------------------------------------------------------------------------ */

static void create(peer *it) {
  PumpTcp__CreatePersistentSubscription asked = PUMP_TCP__CREATE_PERSISTENT_SUBSCRIPTION__INIT;
  pump_tcp_correlation id = correlation_of(1);
  asked.has_subscription_group_name = asked.has_event_stream_id = asked.has_start_from = true;
  asked.subscription_group_name = pump_tcp_binary(pump_bytes_of("g"));
  asked.event_stream_id = pump_tcp_binary(pump_bytes_of("s"));
  asked.has_message_timeout_milliseconds = asked.has_max_retry_count = true;
  asked.message_timeout_milliseconds = 60000;
  asked.max_retry_count = 10;
  asked.has_buffer_size = asked.has_read_batch_size = true;
  asked.buffer_size = 500;
  asked.read_batch_size = 20;
  asked.has_named_consumer_strategy = true;
  asked.named_consumer_strategy = pump_tcp_binary(pump_bytes_of("Pinned"));
  pump_tcp_pack(&it->out, PUMP_TCP_CREATE_PERSISTENT_SUBSCRIPTION, &id, (pump_bytes){0},
                (pump_bytes){0}, &asked.base);
}

/* One write each; the second time nothing is written, as they are there. */
static void write_events(peer *it, unsigned count, size_t size) {
  for (unsigned i = 0; i < count; i++) {
    pump_tcp_correlation correlation = correlation_of(2);
    pump_new_event event = {.type = pump_bytes_of("x"), .data = {data, size}, .id = id_of(i)};
    pump_tcp_encode_write(&it->out, &correlation, (pump_bytes){0}, (pump_bytes){0},
                          pump_bytes_of("s"), (int64_t)i - 1, false, &event, 1);
  }
}

static void join(peer *it, int32_t allowed) {
  PumpTcp__ConnectToPersistentSubscription asked =
      PUMP_TCP__CONNECT_TO_PERSISTENT_SUBSCRIPTION__INIT;
  pump_tcp_correlation id = correlation_of(3);
  asked.has_subscription_id = asked.has_event_stream_id = asked.has_allowed_in_flight_messages =
      true;
  asked.subscription_id = pump_tcp_binary(pump_bytes_of("g"));
  asked.event_stream_id = pump_tcp_binary(pump_bytes_of("s"));
  asked.allowed_in_flight_messages = allowed;
  pump_tcp_pack(&it->out, PUMP_TCP_CONNECT_TO_PERSISTENT_SUBSCRIPTION, &id, (pump_bytes){0},
                (pump_bytes){0}, &asked.base);
}

/* action -1: an ack. */
static void answer(peer *it, unsigned number, int action) {
  PumpTcp__PersistentSubscriptionNakEvents said =
      PUMP_TCP__PERSISTENT_SUBSCRIPTION_NAK_EVENTS__INIT;
  pump_tcp_correlation correlation = correlation_of(4);
  pump_guid id = id_of(number);
  uint8_t net[16];
  pump_guid_to_net(&id, net);
  ProtobufCBinaryData ids[1] = {{16, net}};
  said.has_subscription_id = true;
  said.subscription_id = pump_tcp_binary(pump_bytes_of("s::g"));
  said.n_processed_event_ids = 1;
  said.processed_event_ids = ids;
  said.has_action = said.has_message = action >= 0;
  said.action = (PumpTcp__NakAction)(action >= 0 ? action : 0);
  said.message = pump_tcp_binary(pump_bytes_of("odd"));
  pump_tcp_pack(&it->out,
                action >= 0 ? PUMP_TCP_PERSISTENT_SUBSCRIPTION_NAK_EVENTS
                            : PUMP_TCP_PERSISTENT_SUBSCRIPTION_ACK_EVENTS,
                &correlation, (pump_bytes){0}, (pump_bytes){0}, &said.base);
}

/* ---- Beginning and end -------------------------------------------------------------------- */

static void begin(void) {
  pump_node_options options;
  char error[256];
  pump_node_options_init(&options);
  uv_loop_init(&loop);
  if (pump_node_new(&node, &loop, &options, error, sizeof error) != 0) abort();
}

static bool end(void) {
  pump_node_close(node, NULL, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  return uv_loop_close(&loop) == 0;
}

/* The next consumer gets all but what was acknowledged or parked. */
static bool gets_the_rest(unsigned events, bool are_there, unsigned settled) {
  peer next;
  if (!come(&next, 2)) return false;
  create(&next);
  if (!are_there) write_events(&next, events, 20);
  join(&next, EVENTS);
  for (unsigned i = 0; i < settled; i++)
    next.times[i] = 1;
  run(&next, events, 60000);
  bool is_whole = count_of(&next, events) == events;
  leave(&next);
  return is_whole;
}

/* ---- Without memory ----------------------------------------------------------------------- */

/* Two consumers, one of whom answers: the first event is acked, the second parked, the third is to
 * come again. False: somebody missed one. */
static bool live_through(long at) {
  peer one, two;
  begin();
  bool is_there = come(&one, 0) && come(&two, 1);
  create(&one);
  write_events(&one, 6, 20);
  join(&one, 6);
  answer(&one, 0, -1);
  answer(&one, 1, 1);
  answer(&one, 2, 2);
  join(&two, 3);
  starve_count = 0;
  starve_at = at;
  run(&one, 6, 30);
  run(&two, 1, 2);
  starve_at = 0;
  leave(&one);
  run(&two, 6, 5);
  leave(&two);
  is_there = is_there && gets_the_rest(6, false, 2);
  return end() && is_there;
}

static void without_memory(void) {
  long at = 0, growth = 0, wrong = 0, alive = starve_alive;
  bool is_over = false;
  for (; !is_over && wrong == 0; at++) {
    alive = starve_alive;
    if (!live_through(at)) wrong = at + 1;
    if (at == 0) growth = starve_alive - alive;
    if (starve_alive - alive != growth) wrong = at + 1;
    is_over = at > 0 && starve_count < at;
  }
  tap_ok(wrong == 0 && at > 100,
         "of %ld allocations each failed in turn: all events came, nothing is left over (wrong: "
         "%ld)",
         at, wrong - 1);
}

/* ---- Too much at once --------------------------------------------------------------------- */

/* What is delayed may take 64 MiB: one event too many ends the connection. */
static void too_late(void) {
  peer one;
  begin();
  tap_ok(come(&one, 0), "a connection");
  create(&one);
  write_events(&one, EVENTS, LARGE);
  pump_node_faults late = {.delay = 60000};
  pump_node_set_faults(node, &late);
  join(&one, EVENTS);
  run(&one, EVENTS, 50000); /* less than the delay */
  tap_ok(one.has_ended && count_of(&one, EVENTS) == 0,
         "who would have more than 64 MiB wait for him is cut");
  leave(&one);
  pump_node_set_faults(node, NULL);
  tap_ok(gets_the_rest(EVENTS, true, 0), "and the next one gets all of it");
  tap_ok(end(), "the node ends with nothing open");
}

int main(void) {
  memset(data, 'x', sizeof data);
  without_memory();
  too_late();
  return tap_done();
}
