/* A frame in one line, for whoever has to see what is said: "WriteEvents (0x82), 231 bytes, with a
 * login, 1f8b…: 0a 05 70 6f …". Logins and passwords are never in it. */
#ifndef PUMP_WIRE_TCP_DUMP_H
#define PUMP_WIRE_TCP_DUMP_H

#include "wire/tcp/frame.h"

enum { PUMP_TCP_LONGEST_DUMP = 320 };

void pump_tcp_dump(char line[PUMP_TCP_LONGEST_DUMP], const char *direction,
                   const pump_tcp_frame *frame);

#endif
