#include "conversation/catch_up.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/page.h"

/* What may wait in the buffer, whatever the number of events. One page is always let in. */
#define MAX_BYTES ((size_t)16 * 1024 * 1024)
/* How often a page may end before the goal, where that can also mean that nothing is left. */
#define PATIENCE 10
/* Events that the first page asks for at most: slow lines bring so many in time. Then it doubles. */
#define FIRST_PAGE ((size_t)64)
/* Where pages did not come, so many of the smaller ones do before larger ones are tried again: each
 * that fails costs what it holds, and on a slow line those behind it their time. So they are larger
 * only while they come in less than a part of their time (in per cent), and smaller in time. */
#define STEADY 8
#define QUICK  25
#define SLOW   50
/* The number of the event that a hard deletion writes. */
#define TOMBSTONE INT64_MAX

typedef enum state { READING, SUBSCRIBING, JOINING, LIVE, LOST, OVER } state;

typedef struct pushed {
  pump_page *page;
  size_t bytes;
} pushed;

struct pump_catch_up {
  pump_catch_up_options options;
  state state;
  bool is_asked;      /* the answer to a READ, or to a SUBSCRIBE, is to come */
  bool is_subscribed; /* from SUBSCRIBE to the end of that subscription */
  bool has_started;   /* something was answered well: failures that may pass are waited out */
  bool has_start;     /* it is known behind which event it begins */
  bool must_unsubscribe;
  bool must_tell_live;
  bool has_checkpoint; /* to be told when the buffer is empty */
  bool is_deleted;     /* the tombstone came */
  int failure;
  int gap;          /* volatile: events were left out behind those in the buffer */
  size_t page_size; /* what the next READ asks for */
  unsigned came;    /* pages of that size */
  unsigned steady;  /* how many come before larger ones are asked for */
  unsigned tries;
  unsigned lags; /* pages that ended before the goal */

  /* What was delivered last, and where the next page is read: behind it, or farther where pages
   * said that nothing is left between. */
  int64_t last, next;
  pump_position last_position, next_position;
  int64_t goal;   /* joining: the last event number, or commit position, that pages must bring */
  int64_t pushed; /* streams: what was pushed last, or what pages bring; PUMP_UNKNOWN: nothing */
  pump_position pushed_position; /* $all: the same */
  pump_position checkpoint;

  pump_page *page; /* read, not delivered */
  int64_t place;   /* with a filter: the commit position that it led to; PUMP_UNKNOWN: told */
  pushed *buffer;  /* a ring */
  size_t capacity, begin, pages;
  size_t buffered, buffered_bytes;
  size_t untaken;
};

/* ---- Places ------------------------------------------------------------------------------- */

static bool is_behind(pump_position a, pump_position b) {
  return a.commit > b.commit || (a.commit == b.commit && a.prepare > b.prepare);
}

/* The number that an event is known by in the stream that is read: the link's. */
static int64_t number_of(const pump_event *event) {
  return event->link ? event->link->number : event->record->number;
}

static bool is_new(const pump_catch_up *machine, const pump_event *event) {
  return machine->options.is_all ? is_behind(event->position, machine->last_position)
                                 : number_of(event) > machine->last;
}

static size_t first_new(const pump_catch_up *machine, const pump_page *page) {
  size_t first = 0;
  while (first < page->count && !is_new(machine, &page->events[first]))
    first++;
  return first;
}

/* ---- The buffer --------------------------------------------------------------------------- */

static void forget_buffer(pump_catch_up *machine) {
  for (; machine->pages > 0; machine->pages--) {
    pump_page_unref(machine->buffer[machine->begin].page);
    machine->begin = (machine->begin + 1) % machine->capacity;
  }
  machine->buffered = machine->buffered_bytes = 0;
  machine->has_checkpoint = false;
}

static bool grow(pump_catch_up *machine) {
  size_t capacity = machine->capacity ? machine->capacity * 2 : 8;
  pushed *buffer = malloc(capacity * sizeof *buffer);
  if (!buffer) return false;
  for (size_t i = 0; i < machine->pages; i++)
    buffer[i] = machine->buffer[(machine->begin + i) % machine->capacity];
  free(machine->buffer);
  machine->buffer = buffer;
  machine->capacity = capacity;
  machine->begin = 0;
  return true;
}

static size_t bytes_of(const pump_page *page) {
  size_t bytes = 0;
  for (size_t i = 0; i < page->count; i++) {
    const pump_record *record = page->events[i].record;
    if (record) bytes += record->data.size + record->metadata.size;
  }
  return bytes;
}

/* False: it is full, or there is no memory, which is the same. */
static bool let_in(pump_catch_up *machine, pump_page *page) {
  size_t bytes = bytes_of(page);
  if (machine->pages > 0 && (machine->buffered + page->count > machine->options.max_buffered ||
                             machine->buffered_bytes + bytes > MAX_BYTES))
    return false;
  if (machine->pages == machine->capacity && !grow(machine)) return false;
  machine->buffer[(machine->begin + machine->pages) % machine->capacity] = (pushed){page, bytes};
  machine->pages++;
  machine->buffered += page->count;
  machine->buffered_bytes += bytes;
  return true;
}

static pump_page *let_out(pump_catch_up *machine) {
  pushed first = machine->buffer[machine->begin];
  machine->begin = (machine->begin + 1) % machine->capacity;
  machine->pages--;
  machine->buffered -= first.page->count;
  machine->buffered_bytes -= first.bytes;
  return first.page;
}

/* ---- From state to state ------------------------------------------------------------------ */

static void unsubscribe(pump_catch_up *machine) {
  machine->must_unsubscribe |= machine->is_subscribed;
  machine->is_subscribed = false;
}

static void fail(pump_catch_up *machine, int code) {
  if (machine->state == OVER) return;
  machine->failure = code;
  machine->state = OVER;
  unsubscribe(machine);
  forget_buffer(machine);
}

static void go_live(pump_catch_up *machine) {
  machine->state = LIVE;
  machine->must_tell_live = true;
}

static void read_again(pump_catch_up *machine) {
  unsubscribe(machine);
  forget_buffer(machine);
  machine->must_tell_live = false;
  machine->state = READING;
}

/* Whether all is read that the confirmation counted; is_end: and pages have no more. */
static bool has_joined(const pump_catch_up *machine, bool is_end) {
  if (!machine->options.is_all) return machine->next > machine->goal;
  return machine->next_position.commit > machine->goal || (is_end && machine->lags >= PATIENCE);
}

/* Everything up to here is read; is_end: and there was nothing else. */
static void reached(pump_catch_up *machine, bool is_end) {
  if (machine->state == READING) {
    if (is_end) machine->state = SUBSCRIBING;
  } else if (has_joined(machine, is_end)) {
    go_live(machine);
  } else if (is_end) { /* a server may confirm before its pages show what it counted */
    machine->tries++;
    machine->lags++;
  }
}

/* Where the page leads. A peer whose page leads to itself must not make us read it for ever. */
static bool move(pump_catch_up *machine, const pump_page *page) {
  if (machine->options.is_all) {
    bool moved = is_behind(page->next_position, machine->next_position);
    if (page->next_position.commit >= 0) machine->next_position = page->next_position;
    return moved || page->is_end;
  }
  bool moved = page->next_event_number > machine->next;
  if (page->next_event_number >= 0) machine->next = page->next_event_number;
  return moved || page->is_end;
}

/* ---- What happens ------------------------------------------------------------------------- */

static bool takes_pages(const pump_catch_up *machine) {
  return machine->is_asked && (machine->state == READING || machine->state == JOINING);
}

/* A page that comes too slowly, that no connection lives long enough for, or that is larger than
 * any client takes, would never come. */
static void ask_for_less(pump_catch_up *machine, size_t part) {
  machine->page_size = (machine->page_size + part - 1) / part;
  machine->came = 0;
  machine->steady = STEADY;
}

static void ask_for_more(pump_catch_up *machine) {
  size_t most = machine->options.page_size;
  if (++machine->came < machine->steady) return;
  machine->page_size = machine->page_size < most / 2 ? machine->page_size * 2 : most;
  machine->came = 0;
}

void pump_catch_up_read(pump_catch_up *machine, pump_page *page, unsigned took) {
  if (!takes_pages(machine)) {
    pump_page_unref(page);
    return;
  }
  if (took < QUICK)
    ask_for_more(machine);
  else if (took > SLOW)
    ask_for_less(machine, 2);
  machine->is_asked = false;
  machine->has_started = true;
  machine->tries = 0;
  machine->page = page;
  if (machine->options.is_filtered) machine->place = page->next_position.commit;
  if (move(machine, page))
    reached(machine, page->is_end);
  else
    fail(machine, PUMP_EPROTOCOL);
}

void pump_catch_up_not_read(pump_catch_up *machine, int code, bool retryable) {
  if (!takes_pages(machine)) return;
  machine->is_asked = false;
  if (code == PUMP_ENOSTREAM && !machine->options.is_all) {
    machine->has_started = true;
    machine->tries = 0;
    if (machine->lags >= PATIENCE) machine->goal = -1; /* it was deleted softly since */
    reached(machine, true);
  } else if (code == PUMP_ETOOLARGE && machine->page_size > 1) {
    ask_for_less(machine, 8);
  } else if ((retryable || pump_step_is_noise(code, machine->tries)) && machine->has_started) {
    if (code == PUMP_ETIMEOUT) ask_for_less(machine, 2);
    machine->tries++;
  } else {
    fail(machine, code);
  }
}

/* The number behind this one; behind the last there is none. */
static int64_t behind(int64_t number) {
  return number < TOMBSTONE ? number + 1 : TOMBSTONE;
}

static void begin_behind(pump_catch_up *machine, int64_t number, int64_t commit) {
  machine->has_start = true;
  machine->last = number;
  machine->next = behind(number);
  machine->last_position = machine->next_position = (pump_position){commit, commit};
}

void pump_catch_up_confirmed(pump_catch_up *machine, int64_t last_number, int64_t last_commit) {
  if (machine->state != SUBSCRIBING || !machine->is_asked) return;
  bool is_all = machine->options.is_all;
  machine->is_asked = false;
  machine->has_started = true;
  if (!is_all && last_number == TOMBSTONE) {
    fail(machine, PUMP_EDELETED);
    return;
  }
  machine->goal = is_all ? last_commit : last_number;
  machine->pushed = machine->options.is_volatile ? PUMP_UNKNOWN : last_number;
  machine->pushed_position = (pump_position){-1, -1};
  machine->lags = 0;
  if (machine->options.is_volatile) {
    go_live(machine);
  } else if (!machine->has_start) {
    begin_behind(machine, last_number, last_commit);
    go_live(machine);
  } else if (has_joined(machine, false)) {
    go_live(machine);
  } else {
    machine->state = JOINING;
  }
}

void pump_catch_up_dropped(pump_catch_up *machine, int code, bool retryable) {
  if (!machine->is_subscribed) return;
  bool was_confirmed = machine->state != SUBSCRIBING;
  bool may_pass = retryable || pump_step_is_noise(code, machine->tries) ||
                  (was_confirmed && code == PUMP_EDROPPED);
  machine->is_subscribed = false;
  if (!was_confirmed) machine->is_asked = false;
  if (!may_pass || !machine->has_started) {
    fail(machine, code);
    return;
  }
  machine->tries++;
  if (!was_confirmed) return;
  if (!machine->options.is_volatile) {
    read_again(machine);
    return;
  }
  machine->gap = code;
  machine->must_tell_live = false;
  machine->state = SUBSCRIBING;
}

/* A hard deletion is the last event of its stream, and none that pages show. */
static bool is_tombstone(const pump_catch_up *machine, const pump_page *page) {
  return !machine->options.is_all && number_of(&page->events[page->count - 1]) == TOMBSTONE;
}

/* Whether it comes behind what was pushed before it. */
static bool is_next(pump_catch_up *machine, const pump_event *event) {
  if (machine->options.is_all) {
    if (!is_behind(event->position, machine->pushed_position)) return false;
    machine->pushed_position = event->position;
    return true;
  }
  int64_t number = number_of(event);
  if (number <= machine->pushed) return false;
  machine->pushed = number;
  return true;
}

/* A server pushes the events of a stream one after the other. One that comes again, or late, is
 * left out; where one is missing the page ends (nobody but us has it yet). True: none was. */
static bool put_in_order(pump_catch_up *machine, pump_page *page) {
  pump_event *events = pump_page_events(page);
  size_t kept = 0;
  bool is_whole = true;
  for (size_t i = 0; i < page->count && is_whole; i++) {
    int64_t before = machine->pushed;
    if (!is_next(machine, &events[i])) continue;
    is_whole = machine->options.is_all || before == PUMP_UNKNOWN || machine->pushed == before + 1;
    if (is_whole) events[kept++] = events[i];
  }
  page->count = kept;
  return is_whole;
}

/* What was pushed does not go on without a hole. */
static void leave_out(pump_catch_up *machine, int code) {
  if (machine->options.is_volatile)
    machine->gap = code;
  else
    read_again(machine);
}

static void take_checkpoint(pump_catch_up *machine, pump_position position) {
  if (!machine->is_subscribed || !machine->options.is_all || machine->gap != 0) return;
  machine->has_checkpoint = true;
  machine->checkpoint = position;
}

/* Nothing up to there is still to come, so that is where it stands. */
static pump_step tell_checkpoint(pump_catch_up *machine) {
  pump_step step = {.kind = PUMP_STEP_WAIT};
  machine->has_checkpoint = false;
  if (!is_behind(machine->checkpoint, machine->last_position)) return step;
  machine->last_position = machine->next_position = machine->checkpoint;
  return (pump_step){.kind = PUMP_STEP_TELL_CHECKPOINT, .position = machine->checkpoint};
}

/* Where a page with a filter led is a checkpoint as soon as its events are delivered. The next event
 * may be written at that very position: this one stands in front of all that share its commit. */
static pump_step tell_place(pump_catch_up *machine) {
  pump_position position = {machine->place, 0};
  machine->place = PUMP_UNKNOWN;
  if (!is_behind(position, machine->last_position)) return (pump_step){.kind = PUMP_STEP_WAIT};
  machine->last_position = position;
  return (pump_step){.kind = PUMP_STEP_TELL_CHECKPOINT, .position = position};
}

void pump_catch_up_pushed(pump_catch_up *machine, pump_page *page) {
  if (page->count == 0) take_checkpoint(machine, page->next_position);
  bool is_wanted = machine->is_subscribed && page->count > 0;
  if (is_wanted && is_tombstone(machine, page)) {
    machine->is_deleted = true;
    page->count--;
  }
  if (!is_wanted || (machine->options.is_volatile && machine->gap != 0)) {
    pump_page_unref(page);
    return;
  }
  bool is_whole = put_in_order(machine, page);
  if (page->count == 0 || !let_in(machine, page)) {
    if (page->count > 0) leave_out(machine, PUMP_ESLOW);
    pump_page_unref(page);
  }
  if (!is_whole) leave_out(machine, PUMP_EPROTOCOL);
}

void pump_catch_up_lost(pump_catch_up *machine, int code) {
  if (machine->state == OVER) return;
  if (takes_pages(machine)) ask_for_less(machine, 2);
  machine->is_asked = machine->is_subscribed = machine->must_unsubscribe = false;
  machine->must_tell_live = false;
  machine->state = LOST;
  if (!machine->options.is_volatile)
    forget_buffer(machine);
  else if (machine->has_started)
    machine->gap = code;
}

void pump_catch_up_found(pump_catch_up *machine) {
  if (machine->state == LOST) machine->state = machine->has_start ? READING : SUBSCRIBING;
}

void pump_catch_up_took(pump_catch_up *machine, size_t count) {
  machine->untaken -= count < machine->untaken ? count : machine->untaken;
}

/* ---- What to do --------------------------------------------------------------------------- */

/* WAIT if nothing of the page is new; then it is given back. */
static pump_step deliver(pump_catch_up *machine, pump_page *page) {
  size_t first = first_new(machine, page);
  if (first == page->count) {
    pump_page_unref(page);
    return (pump_step){.kind = PUMP_STEP_WAIT};
  }
  const pump_event *newest = &page->events[page->count - 1];
  machine->last_position = newest->position;
  if (!machine->options.is_all) machine->last = number_of(newest);
  machine->untaken += page->count - first;
  return (pump_step){.kind = PUMP_STEP_DELIVER, .page = page, .first = first};
}

static pump_step deliver_read(pump_catch_up *machine) {
  pump_page *page = machine->page;
  machine->page = NULL;
  return deliver(machine, page);
}

static pump_step deliver_pushed(pump_catch_up *machine) {
  pump_page *page = let_out(machine);
  pump_step step = deliver(machine, page);
  if (step.kind == PUMP_STEP_DELIVER) {
    machine->tries = 0;
    machine->next = behind(machine->last);
    machine->next_position = machine->last_position;
  }
  return step;
}

static pump_step ask(pump_catch_up *machine, pump_step_kind kind) {
  machine->is_asked = true;
  return (pump_step){.kind = kind,
                     .number = machine->next,
                     .position = machine->next_position,
                     .count = machine->page_size,
                     .pause = pump_step_pause(machine->tries)};
}

static bool has_room_for(const pump_catch_up *machine, size_t count) {
  return machine->untaken == 0 || machine->untaken + count <= machine->options.max_untaken;
}

/* What waits in the buffer; in it everything is new as soon as it may come out. */
static pump_step empty_buffer(pump_catch_up *machine) {
  pump_step step = {.kind = PUMP_STEP_WAIT};
  while (step.kind == PUMP_STEP_WAIT && machine->pages > 0 && has_room_for(machine, 1))
    step = deliver_pushed(machine);
  return step;
}

static pump_step live_step(pump_catch_up *machine) {
  if (machine->is_deleted && machine->pages == 0) {
    fail(machine, PUMP_EDELETED);
    return (pump_step){.kind = PUMP_STEP_WAIT};
  }
  if (machine->gap != 0 && machine->pages == 0) {
    pump_step gap = {.kind = PUMP_STEP_TELL_GAP, .code = machine->gap};
    machine->gap = 0;
    machine->pushed = PUMP_UNKNOWN;
    return gap;
  }
  if (machine->must_tell_live) {
    machine->must_tell_live = false;
    return (pump_step){.kind = PUMP_STEP_TELL_LIVE};
  }
  pump_step step = empty_buffer(machine);
  bool is_empty = step.kind == PUMP_STEP_WAIT && machine->pages == 0;
  return is_empty && machine->has_checkpoint ? tell_checkpoint(machine) : step;
}

static pump_step step_of_state(pump_catch_up *machine) {
  switch (machine->state) {
  case READING:
  case JOINING:
    if (!machine->is_asked && has_room_for(machine, machine->page_size))
      return ask(machine, PUMP_STEP_READ);
    break;
  case SUBSCRIBING:
    if (!machine->is_asked) {
      machine->is_subscribed = true;
      return ask(machine, PUMP_STEP_SUBSCRIBE);
    }
    if (machine->options.is_volatile) return empty_buffer(machine);
    break;
  case LIVE: return live_step(machine);
  case LOST: return empty_buffer(machine);
  case OVER: break;
  }
  return (pump_step){.kind = PUMP_STEP_WAIT};
}

pump_step pump_catch_up_next(pump_catch_up *machine) {
  if (machine->page) {
    pump_step step = deliver_read(machine);
    if (step.kind != PUMP_STEP_WAIT) return step;
  }
  if (machine->place >= 0) {
    pump_step step = tell_place(machine);
    if (step.kind != PUMP_STEP_WAIT) return step;
  }
  if (machine->must_unsubscribe) {
    machine->must_unsubscribe = false;
    return (pump_step){.kind = PUMP_STEP_UNSUBSCRIBE};
  }
  if (machine->failure != 0) {
    pump_step step = {.kind = PUMP_STEP_FAIL, .code = machine->failure};
    machine->failure = 0;
    return step;
  }
  pump_step step = step_of_state(machine);
  /* What came out of the buffer may have ended it without a step of its own. */
  bool is_over =
      step.kind == PUMP_STEP_WAIT && (machine->failure != 0 || machine->must_unsubscribe);
  return is_over ? pump_catch_up_next(machine) : step;
}

/* ---- Its life ----------------------------------------------------------------------------- */

int pump_catch_up_new(pump_catch_up **out, const pump_catch_up_options *options) {
  *out = NULL;
  bool is_odd = !options->is_all && options->from < 0;
  if (is_odd || options->page_size == 0 || options->max_untaken == 0) return PUMP_EINVALID;
  pump_catch_up *machine = calloc(1, sizeof *machine);
  if (!machine) return PUMP_ENOMEM;
  machine->options = *options;
  machine->page_size = options->page_size < FIRST_PAGE ? options->page_size : FIRST_PAGE;
  bool is_from_now = options->is_volatile || options->is_from_now;
  machine->state = is_from_now ? SUBSCRIBING : READING;
  machine->has_start = !is_from_now;
  machine->last = is_from_now ? -1 : options->from - 1;
  machine->next = is_from_now ? 0 : options->from;
  machine->last_position = is_from_now ? (pump_position){-1, -1} : options->after;
  machine->place = PUMP_UNKNOWN;
  bool is_from_start = machine->last_position.commit < 0;
  machine->next_position = is_from_start ? (pump_position){0, 0} : options->after;
  *out = machine;
  return 0;
}

void pump_catch_up_free(pump_catch_up *machine) {
  if (!machine) return;
  forget_buffer(machine);
  pump_page_unref(machine->page);
  free(machine->buffer);
  free(machine);
}

int pump_catch_up_state(const pump_catch_up *machine) {
  switch (machine->state) {
  case LIVE: return PUMP_SUBSCRIPTION_LIVE;
  case LOST: return PUMP_SUBSCRIPTION_RECONNECTING;
  case OVER: return PUMP_SUBSCRIPTION_CLOSED;
  default: return PUMP_SUBSCRIPTION_CATCHING_UP;
  }
}

int64_t pump_catch_up_number(const pump_catch_up *machine) {
  return machine->last;
}

pump_position pump_catch_up_position(const pump_catch_up *machine) {
  return machine->last_position;
}
