#include "wire/tcp/message.h"

#include <stdlib.h>

/* `none` of the table: &* of a null pointer is that null pointer. */
#define pump_tcp__none__descriptor (*(const ProtobufCMessageDescriptor *)NULL)

const ProtobufCMessageDescriptor *pump_tcp_message_of(uint8_t command) {
  switch (command) {
#define XX(name, byte, text, message)                                                              \
  case byte: return &pump_tcp__##message##__descriptor;
    PUMP_TCP_COMMAND_MAP(XX)
#undef XX
  default: return NULL;
  }
}

/* protobuf-c allocates through us, so that a test can make each allocation fail. */
static void *allocate(void *ud, size_t size) {
  (void)ud;
  return malloc(size);
}

static void release(void *ud, void *memory) {
  (void)ud;
  free(memory);
}

static ProtobufCAllocator allocator = {allocate, release, NULL};

ProtobufCMessage *pump_tcp_unpack(uint8_t command, pump_bytes body) {
  const ProtobufCMessageDescriptor *descriptor = pump_tcp_message_of(command);
  if (!descriptor) return NULL;
  return protobuf_c_message_unpack(descriptor, &allocator, body.size, (const uint8_t *)body.data);
}

void pump_tcp_unpack_free(ProtobufCMessage *message) {
  if (message) protobuf_c_message_free_unpacked(message, &allocator);
}

static bool is_default(const ProtobufCFieldDescriptor *field, const char *value) {
  switch (field->type) {
  case PROTOBUF_C_TYPE_INT64: return *(const int64_t *)(const void *)value == 0;
  case PROTOBUF_C_TYPE_INT32: return *(const int32_t *)(const void *)value == 0;
  case PROTOBUF_C_TYPE_ENUM: return *(const int *)(const void *)value == 0;
  case PROTOBUF_C_TYPE_BOOL: return *(const protobuf_c_boolean *)(const void *)value == 0;
  case PROTOBUF_C_TYPE_BYTES: return ((const ProtobufCBinaryData *)(const void *)value)->len == 0;
  default: return false;
  }
}

void pump_tcp_leave_out_defaults(ProtobufCMessage *message) {
  char *start = (char *)message;
  for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
    const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
    if (field->label != PROTOBUF_C_LABEL_OPTIONAL || !is_default(field, start + field->offset))
      continue;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
      *(protobuf_c_boolean *)(void *)(start + field->quantifier_offset) = 0;
  }
}

int pump_tcp_pack(pump_buffer *out, uint8_t command, const pump_tcp_correlation *correlation,
                  pump_bytes login, pump_bytes password, const ProtobufCMessage *message) {
  size_t mark = pump_tcp_frame_begin(out, command, correlation, login, password);
  size_t size = protobuf_c_message_get_packed_size(message);
  uint8_t *to = pump_buffer_reserve(out, size);
  if (to) pump_buffer_grew(out, protobuf_c_message_pack(message, to));
  return pump_tcp_frame_end(out, mark);
}
