/* Bodies of frames as protobuf-c knows them, for everything that is not the hot path. Text
 * fields are `bytes` in our proto: protobuf-c's strings end at the first NUL, and a stream's
 * name is whatever the peer says. Nothing is required when decoding; every field is written when
 * encoding, as proto2 servers and clients demand of each other. */
#ifndef PUMP_WIRE_TCP_MESSAGE_H
#define PUMP_WIRE_TCP_MESSAGE_H

#include "base/buffer.h"
#include "eventstore.pb-c.h"
#include "wire/tcp/command.h"
#include "wire/tcp/frame.h"

/* What stands in the body of a command; NULL for none. */
const ProtobufCMessageDescriptor *pump_tcp_message_of(uint8_t command);

/* The body unpacked, or NULL: not that message, or no memory. Freed with pump_tcp_unpack_free.
 * Cast it to the struct of the command's message. */
ProtobufCMessage *pump_tcp_unpack(uint8_t command, pump_bytes body);
void pump_tcp_unpack_free(ProtobufCMessage *message);

/* Fields that hold their default are not set any more, as proto3 servers leave them out. Only the
 * message itself, not those in it. */
void pump_tcp_leave_out_defaults(ProtobufCMessage *message);

/* A whole frame with this message as its body. Errors as pump_tcp_frame_end. */
int pump_tcp_pack(pump_buffer *out, uint8_t command, const pump_tcp_correlation *correlation,
                  pump_bytes login, pump_bytes password, const ProtobufCMessage *message);

/* Between views and protobuf-c's bytes. The view is of the same memory. */
static inline ProtobufCBinaryData pump_tcp_binary(pump_bytes bytes) {
  /* protobuf-c packs from this pointer and never writes through it. */
  return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}
static inline pump_bytes pump_tcp_view(ProtobufCBinaryData data) {
  return (pump_bytes){(const char *)data.data, data.len};
}

#endif
