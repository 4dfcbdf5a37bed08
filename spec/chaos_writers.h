/* The writers of chaos_test.c. A chain knows the version of its stream and writes one after the
 * other; when it does not know what became of a write, it reads the stream's end. A burst has many
 * writes in flight and expects no version. */
#ifndef SPEC_CHAOS_WRITERS_H
#define SPEC_CHAOS_WRITERS_H

#include "chaos.h"

typedef struct chaos_writer {
  pump_client *client;
  int stream;
  int64_t version; /* of a chain's stream; PUMP_UNKNOWN: to be read */
  unsigned in_flight;
  bool is_waiting; /* for its next turn */
} chaos_writer;

static chaos_writer chaos_writers[STREAMS];

typedef struct chaos_asked {
  chaos_writer *writer;
  unsigned number;
} chaos_asked;

static void chaos_turn(void *writer);

static void chaos_turn_soon(chaos_writer *writer, unsigned pause) {
  if (writer->is_waiting) return;
  writer->is_waiting = true;
  chaos_later(pause, chaos_turn, writer);
}

/* What is known to be so when an answer says it. Everything else may be or not. */
static chaos_state chaos_state_of(int status) {
  switch (status) {
  case 0: return CHAOS_DONE;
  case PUMP_ETIMEOUT:
  case PUMP_ECLOSED: return CHAOS_UNKNOWN;
  default: return CHAOS_FAILED;
  }
}

static void chaos_written(pump_client *client, const pump_result *result, void *ud) {
  chaos_asked asked = *(chaos_asked *)ud;
  chaos_writer *writer = asked.writer;
  chaos_write *write = &chaos.writes[asked.number];
  (void)client;
  free(ud);
  chaos_took(result, "a write");
  writer->in_flight--;
  write->state = chaos_state_of(result->status);
  chaos.states[write->state]++;
  write->first = result->first_event_number;
  if (chaos_is_chain(writer->stream)) {
    int64_t expected = writer->version;
    writer->version = result->status == 0 ? result->last_event_number : PUMP_UNKNOWN;
    if (result->status == 0 &&
        (write->first != expected + 1 || result->last_event_number != expected + write->count))
      chaos_odd("write %u behind %" PRId64 " was said to be %" PRId64 " to %" PRId64, asked.number,
                expected, write->first, result->last_event_number);
  }
  chaos_turn_soon(writer, result->status == 0 ? dice(4) : 5 + dice(20));
}

static bool chaos_write_one(chaos_writer *writer) {
  static char data[100000];
  pump_new_event events[MAX_EVENTS];
  pump_call call = {.timeout = PATIENCE};
  if (chaos.count == chaos.room) {
    chaos.room = chaos.room ? chaos.room * 2 : 4096;
    chaos.writes = realloc(chaos.writes, chaos.room * sizeof *chaos.writes);
    if (!chaos.writes) abort();
  }
  unsigned number = chaos.count;
  chaos_write *write = &chaos.writes[number];
  *write =
      (chaos_write){.stream = (uint8_t)writer->stream, .count = (uint8_t)(1 + dice(MAX_EVENTS))};
  for (unsigned i = 0; i < write->count; i++) {
    events[i] = (pump_new_event){.type = pump_bytes_of("chaos")};
    events[i].data = (pump_bytes){data, dice(50) == 0 ? sizeof data : dice(600)};
    events[i].id.bytes[0] = (uint8_t)(i + 1);
    memcpy(events[i].id.bytes + 8, &number, sizeof number);
  }
  chaos_asked *asked = malloc(sizeof *asked);
  if (!asked) abort();
  *asked = (chaos_asked){writer, number};
  bool is_chain = chaos_is_chain(writer->stream);
  int code = pump_client_append(writer->client, chaos_name(writer->stream),
                                is_chain ? writer->version : PUMP_ANY, events, write->count, &call,
                                chaos_written, asked);
  if (code != 0) {
    chaos_odd("a client takes no write: %s", pump_error_name(code));
    free(asked);
    chaos_turn_soon(writer, 50);
    return false;
  }
  chaos.count++;
  writer->in_flight++;
  return true;
}

static void chaos_looked(pump_client *client, const pump_result *result, void *ud) {
  chaos_writer *writer = ud;
  (void)client;
  chaos_took(result, "a look at a stream's end");
  writer->in_flight--;
  if (result->status == PUMP_ENOSTREAM || result->status == PUMP_ENOEVENT)
    writer->version = PUMP_NO_STREAM;
  else if (result->status == 0)
    writer->version = result->page->events[0].record->number;
  chaos_turn_soon(writer, dice(5));
}

static void chaos_turn(void *ud) {
  chaos_writer *writer = ud;
  pump_call call = {.timeout = PATIENCE};
  writer->is_waiting = false;
  if (chaos.is_ending) return;
  if (!chaos_is_chain(writer->stream)) {
    for (unsigned most = 1 + dice(12); writer->in_flight < most && chaos_write_one(writer);)
      continue;
    chaos_turn_soon(writer, 3 + dice(30));
  } else if (writer->in_flight > 0) {
    return;
  } else if (writer->version != PUMP_UNKNOWN) {
    chaos_write_one(writer);
  } else if (pump_client_read_event(writer->client, chaos_name(writer->stream), PUMP_END, false,
                                    &call, chaos_looked, writer) == 0) {
    writer->in_flight++;
  } else {
    chaos_odd("a client takes no read");
    chaos_turn_soon(writer, 50);
  }
}

static void chaos_start_writers(void) {
  for (int i = 0; i < STREAMS; i++) {
    chaos_writers[i] = (chaos_writer){.client = chaos.clients[i % CLIENTS],
                                      .stream = i,
                                      .version = chaos_is_chain(i) ? PUMP_NO_STREAM : PUMP_ANY};
    chaos_turn_soon(&chaos_writers[i], dice(10));
  }
}

static unsigned chaos_writes_in_flight(void) {
  unsigned sum = 0;
  for (int i = 0; i < STREAMS; i++)
    sum += chaos_writers[i].in_flight;
  return sum;
}

#endif
