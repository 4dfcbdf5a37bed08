/* Requests that are done one after the other. */
#ifndef PUMP_CLIENT_SEQUENCE_H
#define PUMP_CLIENT_SEQUENCE_H

#include "conversation/conversation.h"

/* Takes in one that was let into the line, and has its place from then on: conversation->sequence
 * says in which. PUMP_ECANCELLED: one before it has failed. */
int pump_sequence_enter(pump_conversation *conversation);
/* Whether it may be asked: nobody is in front of it. */
bool pump_sequence_is_first(const pump_conversation *conversation);
/* Whether it never may: one before it has failed. */
bool pump_sequence_has_failed(const pump_conversation *conversation);
/* It has its last word. The next one goes on, or all of them, where it has failed. */
void pump_sequence_leave(pump_client *client, pump_conversation *conversation);

#endif
