#include "base/guid.h"

#include <string.h>

/* .NET keeps the first three groups of a Guid little-endian. Both ways are the same. */
static void swap_groups(uint8_t to[16], const uint8_t from[16]) {
  uint8_t head[8] = {from[3], from[2], from[1], from[0], from[5], from[4], from[7], from[6]};
  memcpy(to + 8, from + 8, 8);
  memcpy(to, head, sizeof head);
}

void pump_guid_from_net(pump_guid *guid, const uint8_t net[16]) {
  swap_groups(guid->bytes, net);
}

void pump_guid_to_net(const pump_guid *guid, uint8_t net[16]) {
  swap_groups(net, guid->bytes);
}

bool pump_guid_is_zero(const pump_guid *guid) {
  static const pump_guid zero;
  return memcmp(guid, &zero, sizeof zero) == 0;
}

void pump_guid_stamp(pump_guid *guid) {
  guid->bytes[6] = (unsigned char)((guid->bytes[6] & 0x0f) | 0x40);
  guid->bytes[8] = (unsigned char)((guid->bytes[8] & 0x3f) | 0x80);
}

void pump_guid_format(const pump_guid *guid, char text[PUMP_GUID_TEXT + 1]) {
  static const char digits[] = "0123456789abcdef";
  char *to = text;
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
    *to++ = digits[guid->bytes[i] >> 4];
    *to++ = digits[guid->bytes[i] & 15];
  }
  *to = '\0';
}

static int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

int pump_guid_parse(pump_guid *guid, const char *text, size_t size) {
  if (size == PUMP_GUID_TEXT + 2 && text[0] == '{' && text[size - 1] == '}') {
    text++;
    size -= 2;
  }
  if (size != PUMP_GUID_TEXT) return PUMP_EINVALID;
  pump_guid parsed;
  for (int i = 0; i < 16; i++) {
    if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') return PUMP_EINVALID;
    int high = hex_value(*text++);
    int low = hex_value(*text++);
    if (high < 0 || low < 0) return PUMP_EINVALID;
    parsed.bytes[i] = (unsigned char)(high << 4 | low);
  }
  *guid = parsed;
  return 0;
}
