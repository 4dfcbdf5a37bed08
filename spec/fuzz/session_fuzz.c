/* Fuzzer of a client's session: what a hostile server may answer. The input is a row of (command,
 * whom, size of two bytes, bytes): frames for one of some conversations that wait for an answer, or
 * bare bytes. Whatever comes, each ends once at most, consumers can answer what they got, and all
 * that the session sends is good frames. */
#include <stdlib.h>
#include <string.h>

#include "client/session.h"
#include "wire/tcp/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOBODY = 31, BARE = 32, FIRST = 1 /* the handshake has the first place */ };

static const pump_kind kinds[] = {PUMP_PING,         PUMP_APPEND,       PUMP_DELETE,
                                  PUMP_READ_EVENT,   PUMP_READ_STREAM,  PUMP_READ_ALL,
                                  PUMP_SUBSCRIBE,    PUMP_CONSUME,      PUMP_CREATE_GROUP,
                                  PUMP_UPDATE_GROUP, PUMP_DELETE_GROUP, PUMP_CONSUME};
enum { MANY = sizeof kinds / sizeof *kinds };

static pump_conversation *conversations[MANY];

static void must(bool holds) {
  if (!holds) abort();
}

static void ask(pump_session *session) {
  pump_group_settings settings;
  pump_group_settings_init(&settings);
  for (size_t i = 0; i < MANY; i++) {
    pump_request request = {.kind = kinds[i],
                            .stream = {"s", 1},
                            .group = {"g", 1},
                            .max_count = 10,
                            .settings = &settings};
    must(pump_conversation_new(&conversations[i], &request) == 0);
    must(pump_session_submit(session, conversations[i]) == 0);
  }
}

/* All ids of a page, one of them twice. */
static void answer(pump_session *session, const pump_conversation *conversation,
                   const pump_page *page) {
  pump_guid ids[65];
  size_t count = 0;
  for (; count < page->count && count < 64; count++)
    ids[count] = pump_event_id(&page->events[count]);
  if (count == 0) return;
  ids[count++] = ids[0];
  pump_answer said = {(int)(page->count % 5), {"why", page->count % 4}, ids, count};
  must(pump_session_answer(session, conversation, &said) == 0);
}

static void take_answers(pump_session *session) {
  pump_conversation *conversation;
  while ((conversation = pump_session_next(session))) {
    pump_page *page;
    size_t which = 0;
    while (which < MANY && conversations[which] != conversation)
      which++;
    must(which < MANY);
    while ((page = pump_conversation_pushed(conversation))) {
      must(pump_kind_subscribes(kinds[which]));
      if (kinds[which] == PUMP_CONSUME) answer(session, conversation, page);
      pump_page_unref(page);
    }
    conversation->is_open |= conversation->decision == PUMP_GO_ON;
    conversation->was_confirmed = false;
    if (conversation->decision == PUMP_GO_ON) continue;
    must(conversation->decision != PUMP_DONE || conversation->result.message != NULL);
    pump_conversation_free(conversation);
    conversations[which] = NULL;
  }
}

static int give(pump_session *session, const pump_buffer *bytes) {
  for (size_t given = 0; given < bytes->size;) {
    uint8_t *to;
    size_t room;
    must(pump_session_space(session, &to, &room) == 0);
    if (room > bytes->size - given) room = bytes->size - given;
    memcpy(to, bytes->data + given, room);
    given += room;
    int code = pump_session_filled(session, room, 1000);
    take_answers(session);
    if (code != 0) return code;
  }
  return 0;
}

static void put(pump_buffer *out, const uint8_t *seed, const uint8_t *row, size_t size) {
  pump_tcp_correlation id = {{0}};
  uint32_t index = FIRST + row[1] % MANY;
  pump_bytes body = {(const char *)row + 4, size};
  if (row[1] & BARE) {
    pump_buffer_append(out, body.data, body.size);
    return;
  }
  if (row[1] != NOBODY) {
    memcpy(id.bytes, seed, 8);
    id.bytes[0] |= 1;
    memcpy(id.bytes + 8, &index, 4);
  }
  pump_tcp_frame_write(out, row[0], &id, (pump_bytes){0}, (pump_bytes){0}, body);
}

static void check_output(pump_session *session) {
  pump_buffer *output = pump_session_output(session);
  pump_tcp_reader reader;
  pump_tcp_frame frame;
  int code;
  must(!output->failed);
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  for (size_t at = 0; at < output->size;) {
    uint8_t *to;
    size_t room;
    must(pump_tcp_reader_space(&reader, &to, &room) == 0);
    if (room > output->size - at) room = output->size - at;
    memcpy(to, output->data + at, room);
    at += room;
    pump_tcp_reader_filled(&reader, room);
    while ((code = pump_tcp_reader_next(&reader, &frame)) == 1)
      ;
    must(code == 0);
  }
  must(reader.start == reader.end);
  pump_tcp_reader_free(&reader);
}

static void be_told(void *ud, int level, const char *line, const pump_log_fields *fields) {
  (void)ud, (void)level;
  must(strlen(line) < 400 && strlen(fields->correlation) == PUMP_GUID_TEXT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t frames = 0;
  pump_session_options options = {.name = {"fuzz", 4},
                                  .log = be_told,
                                  .traces = true,
                                  .frames_in = &frames,
                                  .heartbeat_interval = 1000,
                                  .heartbeat_timeout = 1000,
                                  .seed = {7, 6, 5}};
  pump_session *session;
  pump_buffer bytes = {0};
  must(pump_session_new(&session, &options, 0) == 0);
  ask(session);
  int code = 0;
  while (code == 0 && size > 4) {
    size_t length = (size_t)data[2] | (size_t)data[3] << 8;
    if (length > size - 4) length = size - 4;
    put(&bytes, options.seed, data, length);
    data += 4 + length;
    size -= 4 + length;
    if (size % 3 == 0) continue; /* some of them together */
    code = give(session, &bytes);
    pump_buffer_clear(&bytes);
  }
  if (code == 0) give(session, &bytes);
  for (size_t i = 0; i < MANY; i++) {
    if (!conversations[i]) continue;
    pump_session_forget(session, conversations[i]);
    pump_conversation_free(conversations[i]);
  }
  check_output(session);
  pump_session_free(session);
  pump_buffer_free(&bytes);
  return 0;
}
