#include "wire/tcp/command.h"

#include <stddef.h>

const char *pump_tcp_command_name(uint8_t command) {
  switch (command) {
#define XX(name, byte, text, message)                                                              \
  case byte: return #text;
    PUMP_TCP_COMMAND_MAP(XX)
#undef XX
  default: return NULL;
  }
}
