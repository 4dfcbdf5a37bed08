#include "conversation/consumer.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* Answers wait so long for others to go with them, in ms: servers count their patience in seconds,
 * and a consumer that has nothing left to work on does not wait. */
#define PATIENCE 10
/* Ids in one message: .NET's client sends no more, and so no server has ever seen more. */
#define MOST_IDS 2000
/* How often a group that was ours may be full: the server may not have noticed yet that our old
 * connection is gone. */
#define MOST_REFUSALS 10

typedef enum state { SUBSCRIBING, LIVE, LOST, OVER } state;

/* Some answers that go into one message. */
typedef struct batch {
  struct batch *next;
  int action;
  pump_bytes why; /* behind the ids */
  size_t count, room;
  pump_guid ids[];
} batch;

typedef struct pushed {
  pump_page *page;
  size_t first; /* those before were given up */
} pushed;

struct pump_consumer_machine {
  size_t buffer_size;
  state state;
  bool is_asked;      /* the answer to a SUBSCRIBE is to come */
  bool is_subscribed; /* from SUBSCRIBE to the end of that subscription */
  bool has_started;   /* it was confirmed once */
  bool must_unsubscribe;
  bool must_tell_live;
  int must_tell_lost; /* why, or 0 */
  int failure;
  unsigned tries, refusals;

  pushed *pages; /* a ring of those that wait */
  size_t capacity, begin, page_count;
  size_t waiting; /* events in them */
  size_t untaken; /* events that the program has */

  pump_guid *in_flight; /* in the order in which they came: from first_id on, `ids` of them */
  size_t first_id, ids, id_room;

  batch *first_batch, *last_batch;
  batch *sent;      /* handed out with the last step */
  size_t answers;   /* in the batches */
  uint64_t send_by; /* when the first of them has waited enough */
};

/* ---- What is in flight -------------------------------------------------------------------- */

static void forget_id(pump_consumer_machine *machine, size_t index) {
  pump_guid *first = machine->in_flight + machine->first_id;
  memmove(first + 1, first, index * sizeof *first);
  machine->first_id++;
  machine->ids--;
}

/* Programs answer in order, mostly: then it is the first. */
static bool find_id(const pump_consumer_machine *machine, const pump_guid *id, size_t *index) {
  for (*index = 0; *index < machine->ids; (*index)++)
    if (memcmp(&machine->in_flight[machine->first_id + *index], id, sizeof *id) == 0) return true;
  return false;
}

static bool make_room_for_id(pump_consumer_machine *machine) {
  if (machine->first_id + machine->ids < machine->id_room) return true;
  if (machine->first_id > machine->ids) {
    memcpy(machine->in_flight, machine->in_flight + machine->first_id,
           machine->ids * sizeof *machine->in_flight);
    machine->first_id = 0;
    return true;
  }
  size_t room = machine->id_room ? machine->id_room * 2 : 16;
  pump_guid *in_flight = realloc(machine->in_flight, room * sizeof *in_flight);
  if (!in_flight) return false;
  machine->in_flight = in_flight;
  machine->id_room = room;
  return true;
}

static bool note_id(pump_consumer_machine *machine, const pump_event *event) {
  pump_guid id = pump_event_id(event);
  size_t index;
  /* One that comes twice at once is in flight once. */
  size_t behind = machine->first_id + machine->ids;
  if (machine->ids > 0 && memcmp(&machine->in_flight[behind - 1], &id, sizeof id) == 0) return true;
  if (event->retry_count > 0 && find_id(machine, &id, &index)) forget_id(machine, index);
  if (machine->ids == machine->buffer_size) forget_id(machine, 0);
  if (!make_room_for_id(machine)) return false;
  machine->in_flight[machine->first_id + machine->ids++] = id;
  return true;
}

/* ---- What waits --------------------------------------------------------------------------- */

static bool make_room_for_page(pump_consumer_machine *machine) {
  if (machine->page_count < machine->capacity) return true;
  size_t capacity = machine->capacity ? machine->capacity * 2 : 4;
  pushed *pages = malloc(capacity * sizeof *pages);
  if (!pages) return false;
  for (size_t i = 0; i < machine->page_count; i++)
    pages[i] = machine->pages[(machine->begin + i) % machine->capacity];
  free(machine->pages);
  machine->pages = pages;
  machine->capacity = capacity;
  machine->begin = 0;
  return true;
}

static pushed take_page(pump_consumer_machine *machine) {
  pushed first = machine->pages[machine->begin];
  machine->begin = (machine->begin + 1) % machine->capacity;
  machine->page_count--;
  machine->waiting -= first.page->count - first.first;
  return first;
}

static void forget_oldest(pump_consumer_machine *machine) {
  while (machine->waiting > machine->buffer_size) {
    pushed *first = &machine->pages[machine->begin];
    size_t left = first->page->count - first->first;
    size_t over = machine->waiting - machine->buffer_size;
    if (over < left) {
      first->first += over;
      machine->waiting -= over;
    } else {
      pump_page_unref(take_page(machine).page);
    }
  }
}

static bool let_in(pump_consumer_machine *machine, pump_page *page) {
  if (!make_room_for_page(machine)) return false;
  for (size_t i = 0; i < page->count; i++)
    if (!note_id(machine, &page->events[i])) return false;
  size_t place = (machine->begin + machine->page_count++) % machine->capacity;
  machine->pages[place] = (pushed){.page = page};
  machine->waiting += page->count;
  forget_oldest(machine);
  return true;
}

/* ---- Answers ------------------------------------------------------------------------------ */

static void forget_answers(pump_consumer_machine *machine) {
  while (machine->first_batch) {
    batch *first = machine->first_batch;
    machine->first_batch = first->next;
    free(first);
  }
  machine->last_batch = NULL;
  machine->answers = 0;
}

static batch *open_batch(pump_consumer_machine *machine, const pump_answer *answer) {
  batch *last = machine->last_batch;
  if (last && last->action == answer->action && pump_bytes_equal(last->why, answer->why) &&
      last->count < last->room)
    return last;
  size_t room = machine->buffer_size < MOST_IDS ? machine->buffer_size : MOST_IDS;
  batch *made = malloc(sizeof *made + room * sizeof *made->ids + answer->why.size);
  if (!made) return NULL;
  *made = (batch){.action = answer->action, .room = room};
  made->why = (pump_bytes){(char *)(made->ids + room), answer->why.size};
  if (answer->why.size > 0) memcpy((char *)(made->ids + room), answer->why.data, answer->why.size);
  *(last ? &last->next : &machine->first_batch) = made;
  machine->last_batch = made;
  return made;
}

int pump_consumer_machine_answer(pump_consumer_machine *machine, const pump_answer *answer,
                                 uint64_t now) {
  for (size_t i = 0; i < answer->count; i++) {
    size_t index;
    if (!find_id(machine, &answer->ids[i], &index)) continue;
    batch *open = open_batch(machine, answer);
    if (!open) return PUMP_ENOMEM;
    open->ids[open->count++] = answer->ids[i];
    if (machine->answers++ == 0) machine->send_by = now + PATIENCE;
    forget_id(machine, index);
  }
  return 0;
}

/* Now, if they are many, or all that the server waits for, or have waited. */
static bool must_send(const pump_consumer_machine *machine, uint64_t now) {
  if (machine->answers == 0 || machine->state != LIVE) return false;
  return machine->ids == 0 || now >= machine->send_by || machine->answers >= MOST_IDS ||
         machine->answers * 2 >= machine->buffer_size;
}

bool pump_consumer_machine_settle(pump_consumer_machine *machine, pump_answer *answer) {
  batch *first = machine->first_batch;
  free(machine->sent);
  machine->sent = first;
  if (!first) return false;
  machine->first_batch = first->next;
  if (!first->next) machine->last_batch = NULL;
  machine->answers -= first->count;
  *answer = (pump_answer){first->action, first->why, first->ids, first->count};
  return true;
}

/* ---- From state to state ------------------------------------------------------------------ */

static void forget_all(pump_consumer_machine *machine) {
  while (machine->page_count > 0)
    pump_page_unref(take_page(machine).page);
  forget_answers(machine);
  machine->first_id = machine->ids = machine->untaken = 0;
  machine->must_tell_live = false;
}

static void interrupt(pump_consumer_machine *machine, int code, state then) {
  if (machine->state == LIVE) machine->must_tell_lost = code;
  forget_all(machine);
  machine->is_asked = machine->is_subscribed = false;
  machine->state = then;
}

static void fail(pump_consumer_machine *machine, int code) {
  if (machine->state == OVER) return;
  forget_all(machine);
  machine->must_unsubscribe |= machine->is_subscribed;
  machine->is_subscribed = false;
  machine->failure = code;
  machine->state = OVER;
}

/* ---- What happens ------------------------------------------------------------------------- */

void pump_consumer_machine_confirmed(pump_consumer_machine *machine) {
  if (machine->state != SUBSCRIBING || !machine->is_asked) return;
  machine->is_asked = false;
  machine->has_started = true;
  machine->refusals = 0;
  machine->state = LIVE;
  machine->must_tell_live = true;
}

/* A server ends a subscription without a reason when the group was updated or deleted, when it
 * shuts down and when it leads no more. Asking again tells which of these it was. */
void pump_consumer_machine_dropped(pump_consumer_machine *machine, int code, bool retryable) {
  if (!machine->is_subscribed) return;
  machine->is_subscribed = false;
  bool is_full = code == PUMP_EMAXSUBSCRIBERS && ++machine->refusals >= MOST_REFUSALS;
  bool may_pass = retryable || pump_step_is_noise(code, machine->tries);
  if (!machine->has_started || !may_pass || is_full) {
    fail(machine, code);
    return;
  }
  machine->tries++;
  interrupt(machine, code, SUBSCRIBING);
}

/* Where there is no memory the server is asked for all that is in flight again. */
void pump_consumer_machine_pushed(pump_consumer_machine *machine, pump_page *page) {
  if (machine->state != LIVE || page->count == 0) {
    pump_page_unref(page);
    return;
  }
  if (let_in(machine, page)) {
    machine->tries = 0;
    return;
  }
  pump_page_unref(page);
  machine->tries++;
  machine->must_unsubscribe = true;
  interrupt(machine, PUMP_ENOMEM, SUBSCRIBING);
}

void pump_consumer_machine_lost(pump_consumer_machine *machine, int code) {
  if (machine->state == OVER) return;
  interrupt(machine, code, LOST);
  machine->must_unsubscribe = false;
}

void pump_consumer_machine_found(pump_consumer_machine *machine) {
  if (machine->state == LOST) machine->state = SUBSCRIBING;
}

void pump_consumer_machine_took(pump_consumer_machine *machine, size_t count) {
  machine->untaken -= count < machine->untaken ? count : machine->untaken;
}

/* ---- What to do --------------------------------------------------------------------------- */

static pump_step subscribe(pump_consumer_machine *machine) {
  machine->is_asked = machine->is_subscribed = true;
  return (pump_step){.kind = PUMP_STEP_SUBSCRIBE, .pause = pump_step_pause(machine->tries)};
}

static pump_step deliver(pump_consumer_machine *machine) {
  pushed first = take_page(machine);
  machine->untaken = first.page->count - first.first;
  return (pump_step){.kind = PUMP_STEP_DELIVER, .page = first.page, .first = first.first};
}

pump_step pump_consumer_machine_next(pump_consumer_machine *machine, uint64_t now) {
  pump_step step = {.kind = PUMP_STEP_WAIT};
  free(machine->sent);
  machine->sent = NULL;
  if (machine->must_unsubscribe) {
    machine->must_unsubscribe = false;
    step.kind = PUMP_STEP_UNSUBSCRIBE;
  } else if (machine->failure != 0) {
    step = (pump_step){.kind = PUMP_STEP_FAIL, .code = machine->failure};
    machine->failure = 0;
  } else if (machine->must_tell_lost != 0) {
    step = (pump_step){.kind = PUMP_STEP_TELL_LOST, .code = machine->must_tell_lost};
    machine->must_tell_lost = 0;
  } else if (machine->must_tell_live) {
    step.kind = PUMP_STEP_TELL_LIVE;
    machine->must_tell_live = false;
  } else if (must_send(machine, now)) {
    step.kind = PUMP_STEP_ANSWER;
    pump_consumer_machine_settle(machine, &step.answer);
  } else if (machine->state == SUBSCRIBING && !machine->is_asked) {
    step = subscribe(machine);
  } else if (machine->page_count > 0 && machine->untaken == 0) {
    step = deliver(machine);
  }
  return step;
}

uint64_t pump_consumer_machine_due(const pump_consumer_machine *machine) {
  return machine->answers > 0 && machine->state == LIVE ? machine->send_by : UINT64_MAX;
}

/* ---- Its life ----------------------------------------------------------------------------- */

int pump_consumer_machine_new(pump_consumer_machine **out, size_t buffer_size) {
  *out = NULL;
  if (buffer_size == 0) return PUMP_EINVALID;
  *out = calloc(1, sizeof **out);
  if (!*out) return PUMP_ENOMEM;
  (*out)->buffer_size = buffer_size;
  return 0;
}

void pump_consumer_machine_free(pump_consumer_machine *machine) {
  if (!machine) return;
  forget_all(machine);
  free(machine->sent);
  free(machine->pages);
  free(machine->in_flight);
  free(machine);
}

int pump_consumer_machine_state(const pump_consumer_machine *machine) {
  switch (machine->state) {
  case LIVE: return PUMP_SUBSCRIPTION_LIVE;
  case OVER: return PUMP_SUBSCRIPTION_CLOSED;
  default:
    return machine->has_started ? PUMP_SUBSCRIPTION_RECONNECTING : PUMP_SUBSCRIPTION_CATCHING_UP;
  }
}
