/* Base, wire and conversations without memory: each allocation fails in turn; the answer is PUMP_ENOMEM, nothing
 * leaks and nothing falls over. */
#include "starve.h"

#include <string.h>

#include "recorded.h"

#include "base/bytes.h"
#include "base/heap.h"
#include "base/page.h"
#include "conversation/conversation.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

static const pump_tcp_correlation nobody;
static const pump_bytes none;

/* ---- Base --------------------------------------------------------------------------------- */

static int fill_a_heap(void *ud) {
  (void)ud;
  pump_heap heap;
  pump_heap_node nodes[300] = {0};
  int code = 0;
  pump_heap_init(&heap);
  for (size_t i = 0; code == 0 && i < 300; i++)
    code = pump_heap_add(&heap, &nodes[i], 300 - i);
  for (uint64_t last = 0; pump_heap_first(&heap); pump_heap_remove(&heap, pump_heap_first(&heap))) {
    if (pump_heap_first(&heap)->key < last) code = PUMP_EINVALID;
    last = pump_heap_first(&heap)->key;
  }
  pump_heap_free(&heap);
  return code;
}

static int write_text(void *ud) {
  (void)ud;
  pump_buffer out = {0};
  for (int i = 0; i < 2000; i++)
    pump_buffer_printf(&out, "%d ponies, ", i);
  bool whole = strlen(pump_buffer_string(&out)) == out.size;
  int code = out.failed ? PUMP_ENOMEM : whole ? 0 : PUMP_EINVALID;
  pump_buffer_free(&out);
  return code;
}

static int make_a_page(void *ud) {
  (void)ud;
  pump_block *block = pump_block_new(100);
  if (!block) return PUMP_ENOMEM;
  pump_page *page = pump_page_new(block, 10, 20);
  pump_block_unref(block);
  if (!page) return PUMP_ENOMEM;
  pump_page_unref(page);
  return 0;
}

/* ---- Frames ------------------------------------------------------------------------------- */

/* Frames of growing size are written, and read in pieces while a reference to an old block is
 * held: every way in which the reader takes memory. */
static int write_and_read_frames(void *ud) {
  (void)ud;
  static char body[200000];
  pump_buffer out = {0};
  pump_tcp_reader reader;
  pump_tcp_reader_init(&reader, PUMP_MAX_FRAME);
  pump_block *held = NULL;
  int code = 0;
  for (size_t size = 0; code == 0 && size < sizeof body; size += 40000)
    code = pump_tcp_frame_write(&out, PUMP_TCP_PING, &nobody, pump_bytes_of("admin"),
                                pump_bytes_of("changeit"), (pump_bytes){body, size});
  for (size_t at = 0; code == 0 && at < out.size;) {
    uint8_t *to;
    size_t room;
    pump_tcp_frame frame;
    code = pump_tcp_reader_space(&reader, &to, &room);
    if (code != 0) break;
    if (room > 30000) room = 30000;
    if (room > out.size - at) room = out.size - at;
    memcpy(to, out.data + at, room);
    pump_tcp_reader_filled(&reader, room);
    at += room;
    while ((code = pump_tcp_reader_next(&reader, &frame)) == 1) {
      pump_block_unref(held);
      held = pump_block_ref(reader.block);
    }
  }
  pump_block_unref(held);
  pump_tcp_reader_free(&reader);
  pump_buffer_free(&out);
  return code;
}

/* ---- Messages ----------------------------------------------------------------------------- */

static int read_and_write_message(void *ud) {
  const recorded_frame *frame = ud;
  ProtobufCMessage *message = pump_tcp_unpack(frame->command, frame->body);
  if (!message) return PUMP_ENOMEM;
  pump_buffer out = {0};
  int code = pump_tcp_pack(&out, frame->command, &nobody, none, none, message);
  pump_buffer_free(&out);
  pump_tcp_unpack_free(message);
  return code;
}

static int read_page(void *ud) {
  const recorded_frame *frame = ud;
  pump_block *block = pump_block_new(frame->body.size);
  if (!block) return PUMP_ENOMEM;
  memcpy(block->data, frame->body.data, frame->body.size);
  pump_tcp_page page;
  pump_bytes body = {(const char *)block->data, frame->body.size};
  int code = pump_tcp_decode_page(frame->command, block, body, &page);
  pump_block_unref(block);
  if (code != 0) return code;
  pump_buffer out = {0};
  for (size_t i = 0; i < page.page->count; i++) {
    const pump_event *event = &page.page->events[i];
    pump_tcp_event answer = {event->record, event->link, event->position, true, false};
    pump_tcp_encode_event(&out, 1, &answer);
  }
  code = out.failed ? PUMP_ENOMEM : 0;
  pump_buffer_free(&out);
  pump_page_unref(page.page);
  return code;
}

static int read_and_write_write(void *ud) {
  const recorded_frame *frame = ud;
  pump_tcp_write write;
  int code = pump_tcp_decode_write(frame->body, &write);
  if (code != 0) return code;
  pump_buffer out = {0};
  code = pump_tcp_encode_write(&out, &nobody, none, none, write.stream, write.expected_version,
                               write.require_leader, write.events, write.count);
  pump_buffer_free(&out);
  free(write.events);
  return code;
}

typedef struct tally {
  long frames, allocations;
  bool failed;
} tally;

static void add(tally *seen, int (*run)(void *ud), const recorded_frame *frame) {
  recorded_frame copy = *frame;
  long allocations = starve(run, &copy, PUMP_ENOMEM);
  if (allocations < 0) {
    seen->failed = true;
    printf("# %s:%d: %s\n", frame->file, frame->line, pump_tcp_command_name(frame->command));
    return;
  }
  seen->frames++;
  seen->allocations += allocations;
}

static void starve_messages(const recorded_frame *frame, void *ud) {
  tally *tallies = ud;
  if (pump_tcp_message_of(frame->command)) add(&tallies[0], read_and_write_message, frame);
  pump_tcp_page page;
  if (pump_tcp_decode_page(frame->command, NULL, frame->body, &page) == 0) {
    pump_page_unref(page.page);
    add(&tallies[1], read_page, frame);
  }
  if (frame->command == PUMP_TCP_WRITE_EVENTS) add(&tallies[2], read_and_write_write, frame);
}

/* ---- Conversations ------------------------------------------------------------------------ */

/* Where there is no memory for the words, the code's own sentence stands in their place. */
static int fail_an_append(void *ud) {
  (void)ud;
  const pump_new_event events[] = {{.type = {"a", 1}, .data = {"x", 1}}, {.type = {"b", 1}}};
  pump_request request = {
      .kind = PUMP_APPEND, .stream = {"ponies", 6}, .number = 5, .events = events, .count = 2};
  pump_conversation *conversation;
  int code = pump_conversation_new(&conversation, &request);
  if (code != 0) return code;
  char words[600];
  memset(words, 'w', sizeof words);
  pump_reply reply = {
      .outcome = PUMP_OUTCOME_WRONG_VERSION, .text = {words, sizeof words}, .current_version = 9};
  pump_conversation_inspect(conversation, &reply);
  const pump_result *result = &conversation->result;
  if (result->status != PUMP_EVERSION || result->current_version != 9)
    code = PUMP_EINVALID;
  else if (!strstr(result->message, "www)"))
    code =
        strcmp(result->message, pump_error_sentence(PUMP_EVERSION)) ? PUMP_EINVALID : PUMP_ENOMEM;
  pump_conversation_free(conversation);
  return code;
}

/* The conversation keeps the page it was given, and gives it back. */
static int answer_a_read(void *ud) {
  (void)ud;
  pump_request request = {.kind = PUMP_READ_STREAM, .stream = {"ponies", 6}, .max_count = 10};
  pump_conversation *conversation;
  int code = pump_conversation_new(&conversation, &request);
  for (int i = 0; code == 0 && i < 2; i++) {
    pump_reply reply = {.outcome = PUMP_OUTCOME_SUCCESS, .page = pump_page_new(NULL, 3, 3)};
    if (!reply.page)
      code = PUMP_ENOMEM;
    else if (pump_conversation_inspect(conversation, &reply) != PUMP_DONE)
      code = PUMP_EINVALID;
  }
  pump_conversation_free(conversation);
  return code;
}

static void check(const char *what, int (*run)(void *ud)) {
  long allocations = starve(run, NULL, PUMP_ENOMEM);
  tap_ok(allocations > 0, "%s, each of %ld allocations failed in turn", what, allocations);
}

int main(void) {
  check("a heap", fill_a_heap);
  check("a buffer", write_text);
  check("a page", make_a_page);
  check("frames", write_and_read_frames);
  check("an append that is refused", fail_an_append);
  check("a read that is answered twice", answer_a_read);
  static const char *const names[] = {"messages", "pages", "writes"};
  tally tallies[3] = {{0}};
  bool found = recorded_each("5.0.8/node.jsonl", starve_messages, tallies) &&
               recorded_each("23.10.6/semantics.jsonl", starve_messages, tallies);
  tap_ok(found, "there are recordings");
  for (int i = 0; i < 3; i++)
    tap_ok(!tallies[i].failed && tallies[i].frames > 0,
           "%ld recorded %s, each of %ld allocations failed in turn", tallies[i].frames, names[i],
           tallies[i].allocations);
  return tap_done();
}
