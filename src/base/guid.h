/* UUIDs: pump_guid has the order of the text; EventStore's TCP protocol has .NET's. */
#ifndef PUMP_BASE_GUID_H
#define PUMP_BASE_GUID_H

#include <pump.h>

/* From and to the 16 bytes of .NET's Guid.ToByteArray(). */
void pump_guid_from_net(pump_guid *guid, const uint8_t net[16]);
void pump_guid_to_net(const pump_guid *guid, uint8_t net[16]);
bool pump_guid_is_zero(const pump_guid *guid);
/* Makes 16 random bytes a version 4 UUID. Where the randomness comes from is the caller's. */
void pump_guid_stamp(pump_guid *guid);

#endif
