/* Fuzzer of the messages: the first byte is a command, the rest its body. Whatever is read lies
 * within the body, and events that were read are written so that they are read as the same. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "wire/tcp/events.h"
#include "wire/tcp/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const pump_tcp_correlation nobody;
static const pump_bytes none;

static void must(bool holds) {
  if (!holds) abort();
}

static bool within(pump_bytes part, pump_bytes whole) {
  return part.size == 0 ||
         (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static void check_record(const pump_record *record, pump_bytes body) {
  if (!record) return;
  must(within(record->stream, body) && within(record->type, body));
  must(within(record->data, body) && within(record->metadata, body));
}

/* Written as a node would, an event is read as what it was. */
static void check_written(const pump_event *event) {
  pump_buffer out = {0};
  pump_tcp_event answer = {event->record, event->link, event->position, true, true};
  pump_tcp_encode_event(&out, 1, &answer);
  must(!out.failed);
  pump_tcp_page page;
  pump_bytes body = {(const char *)out.data, out.size};
  must(pump_tcp_decode_page(PUMP_TCP_STREAM_EVENT_APPEARED, NULL, body, &page) == 0);
  must(page.page->count == 1);
  const pump_record *record = page.page->events[0].record;
  must(!record == !event->record);
  must(!record || (pump_bytes_equal(record->data, event->record->data) &&
                   record->number == event->record->number));
  pump_page_unref(page.page);
  pump_buffer_free(&out);
}

static void read_page(uint8_t command, pump_bytes bytes) {
  pump_block *block = pump_block_new(bytes.size);
  must(block != NULL);
  if (bytes.size > 0) memcpy(block->data, bytes.data, bytes.size);
  pump_bytes body = {(const char *)block->data, bytes.size};
  pump_tcp_page page;
  int code = pump_tcp_decode_page(command, block, body, &page);
  pump_block_unref(block);
  must(code == 0 || code == PUMP_EPROTOCOL);
  if (code != 0) return;
  must(within(page.error, body));
  for (size_t i = 0; i < page.page->count; i++) {
    const pump_event *event = &page.page->events[i];
    must(event->record || event->link);
    check_record(event->record, body);
    check_record(event->link, body);
    check_written(event);
  }
  pump_page_unref(page.page);
}

/* Pushes that come together: all of them are read, or none is. */
static void read_pushes(uint8_t command, pump_bytes body) {
  pump_bytes twice[] = {body, body};
  pump_tcp_page alone;
  pump_page *page = NULL;
  if (command != PUMP_TCP_STREAM_EVENT_APPEARED &&
      command != PUMP_TCP_PERSISTENT_SUBSCRIPTION_EVENT_APPEARED)
    return;
  int code = pump_tcp_decode_pushes(command, NULL, twice, 2, &page);
  must(code == pump_tcp_decode_page(command, NULL, body, &alone));
  if (code != 0) return;
  must(page->count == 2 * alone.page->count);
  for (size_t i = 0; i < page->count; i++)
    must(page->events[i].record || page->events[i].link);
  pump_page_unref(alone.page);
  pump_page_unref(page);
}

static void read_write(pump_bytes body) {
  pump_tcp_write write, again;
  int code = pump_tcp_decode_write(body, &write);
  must(code == 0 || code == PUMP_EPROTOCOL);
  if (code != 0) return;
  pump_buffer out = {0};
  must(pump_tcp_encode_write(&out, &nobody, none, none, write.stream, write.expected_version,
                             write.require_leader, write.events, write.count) == 0);
  pump_bytes written = {(const char *)out.data + PUMP_TCP_HEAD_SIZE, out.size - PUMP_TCP_HEAD_SIZE};
  must(pump_tcp_decode_write(written, &again) == 0);
  must(again.count == write.count && again.expected_version == write.expected_version &&
       pump_bytes_equal(again.stream, write.stream));
  for (size_t i = 0; i < write.count; i++)
    must(pump_bytes_equal(again.events[i].data, write.events[i].data) &&
         pump_bytes_equal(again.events[i].type, write.events[i].type));
  free(again.events);
  free(write.events);
  pump_buffer_free(&out);
}

static void read_message(uint8_t command, pump_bytes body) {
  ProtobufCMessage *message = pump_tcp_unpack(command, body);
  if (!message) return;
  pump_buffer out = {0};
  must(pump_tcp_pack(&out, command, &nobody, none, none, message) == 0);
  pump_tcp_unpack_free(message);
  pump_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  pump_bytes body = {(const char *)data + 1, size - 1};
  read_page(data[0], body);
  read_pushes(data[0], body);
  read_write(body);
  read_message(data[0], body);
  return 0;
}
