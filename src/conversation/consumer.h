/* A consumer of a group as a machine: what was pushed goes on in order, and what the program says
 * of it goes back.
 *
 * Like catch_up.h it knows no protocol, no I/O and no clock of its own. What happens is told to it,
 * and after each of that pump_consumer_machine_next is asked what to do until it says to wait; and
 * once more when it is due.
 *
 * It keeps the ids of what the server waits for an answer to: answers to anything else are left
 * out. So what belongs to a lost connection is forgotten as a whole, events that wait here and
 * answers that were not sent, for the server will send those events again. A server has at most
 * buffer_size events in flight with one consumer: when more than that wait here or are not
 * answered, it has given up the oldest (their time was over), and they are forgotten, too. */
#ifndef PUMP_CONSUMER_H
#define PUMP_CONSUMER_H

#include <pump.h>
#include "conversation/step.h"

typedef struct pump_consumer_machine pump_consumer_machine;

/* PUMP_EINVALID, PUMP_ENOMEM. */
int pump_consumer_machine_new(pump_consumer_machine **machine, size_t buffer_size);
void pump_consumer_machine_free(pump_consumer_machine *machine); /* NULL is fine */

pump_step pump_consumer_machine_next(pump_consumer_machine *machine, uint64_t now);
/* When there is something to do though nothing happens; UINT64_MAX for never. */
uint64_t pump_consumer_machine_due(const pump_consumer_machine *machine);

/* The answers to a SUBSCRIBE. Dropped may come instead of confirmed, and any time after. */
void pump_consumer_machine_confirmed(pump_consumer_machine *machine);
void pump_consumer_machine_dropped(pump_consumer_machine *machine, int code, bool retryable);
/* Events came; it takes the reference over. */
void pump_consumer_machine_pushed(pump_consumer_machine *machine, pump_page *page);
/* The connection is gone. And there is another one. */
void pump_consumer_machine_lost(pump_consumer_machine *machine, int code);
void pump_consumer_machine_found(pump_consumer_machine *machine);

/* The program is done with so many of the events that were delivered: it may get more. */
void pump_consumer_machine_took(pump_consumer_machine *machine, size_t count);
/* What it says of some events, in flight or not. PUMP_ENOMEM: of some it was not heard. */
int pump_consumer_machine_answer(pump_consumer_machine *machine, const pump_answer *answer,
                                 uint64_t now);
/* Answers to be sent, whether they have waited or not, until the next step; false when there are
 * none. */
bool pump_consumer_machine_settle(pump_consumer_machine *machine, pump_answer *answer);

/* PUMP_SUBSCRIPTION_… */
int pump_consumer_machine_state(const pump_consumer_machine *machine);

#endif
