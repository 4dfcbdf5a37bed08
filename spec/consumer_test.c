/* The machine of a consumer against a group that exists only here: random pushes, retries, timeouts,
 * answers in any order, drops, lost connections and other consumers, thousands of runs. Every event
 * must come at least once, what the group heard answered never again, and answers go out in time
 * and only to what this connection brought. */
#include "starve.h"

#include <string.h>

#include "base/page.h"
#include "conversation/consumer.h"

#define MOST  400 /* events a run */
#define QUEUE 8192

typedef enum standing { UNSENT, IN_FLIGHT, TO_RETRY, SETTLED } standing;

typedef struct entry {
  standing standing;
  uint64_t sent_at;
  int32_t retries;
  unsigned answered; /* how often the group took an answer */
} entry;

typedef enum kind { CONNECT, YES, NO, PUSH, DROP } kind;

typedef struct message {
  kind kind;
  unsigned generation; /* of the subscription */
  int first, count;    /* PUSH: numbers that follow each other */
  int32_t retries;
  int code;
} message;

#include "play.h"

typedef struct run {
  uint64_t seed, dice, now;
  pump_consumer_machine *machine;
  size_t buffer_size;
  uint64_t timeout; /* of the group's patience, 0: never */

  entry events[MOST];
  int count;
  unsigned subscription; /* that the server has, 0: none */
  size_t in_flight;      /* of it */
  queue to_server, to_client;

  bool is_connected;
  unsigned generation;
  int unanswered[MOST]; /* how often pushed on this subscription, and not answered since */

  int hand[QUEUE]; /* what the program got and has not answered */
  size_t held, untaken;
  bool is_live;
  int lives, losts, answers, deliveries;
  unsigned seen[MOST];
  int ended;
  const char *wrong;
} run;

static size_t up_to(run *self, size_t most) {
  return (size_t)(roll(&self->dice) % (most + 1));
}

static void wrong(run *self, const char *what) {
  if (!self->wrong) self->wrong = what;
}

/* ---- The group ---------------------------------------------------------------------------- */

static pump_guid id_of(int number) {
  pump_guid id = {{9}};
  memcpy(id.bytes + 4, &number, sizeof number);
  return id;
}

static int number_of(const pump_guid *id) {
  int number;
  memcpy(&number, id->bytes + 4, sizeof number);
  return number;
}

/* Whoever had them has them no more. */
static void take_back(run *self) {
  for (int i = 0; i < self->count; i++)
    if (self->events[i].standing == IN_FLIGHT) self->events[i].standing = TO_RETRY;
  self->in_flight = 0;
}

static void end_subscription(run *self) {
  take_back(self);
  self->subscription = 0;
}

static void send(run *self, int number) {
  entry *event = &self->events[number];
  if (event->standing == TO_RETRY) event->retries++;
  event->standing = IN_FLIGHT;
  event->sent_at = self->now;
  self->in_flight++;
  put(&self->to_client, (message){.kind = PUSH,
                                  .generation = self->subscription,
                                  .first = number,
                                  .count = 1,
                                  .retries = event->retries});
}

static void deal(run *self) {
  for (int i = 0; i < self->count; i++) {
    entry *event = &self->events[i];
    bool is_late = event->standing == IN_FLIGHT && self->timeout != 0 &&
                   self->now - event->sent_at >= self->timeout;
    if (!is_late) continue;
    self->in_flight--;
    event->standing = TO_RETRY;
    if (chance(&self->dice, 200)) { /* another consumer has it, and does it */
      event->standing = SETTLED;
    }
  }
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < self->count && self->in_flight < self->buffer_size; i++)
      if (self->subscription != 0 && self->events[i].standing == (pass == 0 ? TO_RETRY : UNSENT))
        send(self, i);
}

static void serve(run *self) {
  if (is_empty(&self->to_server)) return;
  message asked = take(&self->to_server);
  if (self->lives > 0 && chance(&self->dice, 100)) {
    put(&self->to_client,
        (message){.kind = NO, .generation = asked.generation, .code = PUMP_ETIMEOUT});
    return;
  }
  if (self->subscription != 0) end_subscription(self);
  self->subscription = asked.generation;
  put(&self->to_client, (message){.kind = YES, .generation = asked.generation});
}

static void hear(run *self, const pump_answer *answer) {
  if (answer->count == 0 || answer->count > 2000) wrong(self, "a message of an odd size");
  self->answers++;
  for (size_t i = 0; i < answer->count; i++) {
    int number = number_of(&answer->ids[i]);
    entry *event = &self->events[number];
    if (self->unanswered[number]-- == 0)
      wrong(self, "an answer to what this connection did not bring");
    if (event->standing != IN_FLIGHT && event->standing != TO_RETRY) continue;
    if (event->standing == IN_FLIGHT) self->in_flight--;
    event->standing = answer->action == PUMP_NACK_RETRY ? TO_RETRY : SETTLED;
    event->answered += event->standing == SETTLED;
  }
}

/* ---- The program -------------------------------------------------------------------------- */

static void deliver(run *self, const pump_step *step) {
  if (self->untaken > 0) wrong(self, "more came before the last were taken");
  if (!self->is_live) wrong(self, "events came while it is not connected");
  for (size_t i = step->first; i < step->page->count; i++) {
    pump_guid id = pump_event_id(&step->page->events[i]);
    int number = number_of(&id);
    self->seen[number]++;
    self->hand[self->held++ % QUEUE] = number;
    self->untaken++;
    self->deliveries++;
  }
  if (self->untaken == 0 || self->untaken > self->buffer_size) wrong(self, "a page of an odd size");
  pump_page_unref(step->page);
}

static void say_something(run *self) {
  static const int actions[] = {0, 0, 0, 0, PUMP_NACK_RETRY, PUMP_NACK_PARK, PUMP_NACK_SKIP};
  pump_guid ids[20];
  size_t count = 0;
  for (; count < 20 && self->held > 0 && chance(&self->dice, 700); count++) {
    size_t which = chance(&self->dice, 700) ? 0 : up_to(self, self->held - 1);
    ids[count] = id_of(self->hand[which]);
    self->hand[which] = self->hand[--self->held];
    if (chance(&self->dice, 30)) self->held++; /* and once more some time */
  }
  pump_answer answer = {.action = actions[up_to(self, 6)],
                        .why = {"why not", up_to(self, 3)},
                        .ids = ids,
                        .count = count};
  pump_consumer_machine_answer(self->machine, &answer, self->now);
}

static void forget_subscription(run *self) {
  memset(self->unanswered, 0, sizeof self->unanswered);
}

static void do_steps(run *self) {
  for (int i = 0; i < 10000 && !self->wrong; i++) {
    pump_step step = pump_consumer_machine_next(self->machine, self->now);
    switch (step.kind) {
    case PUMP_STEP_WAIT:
      if (pump_consumer_machine_due(self->machine) <= self->now) wrong(self, "it is late");
      return;
    case PUMP_STEP_SUBSCRIBE:
      if (!self->is_connected) wrong(self, "it asks while there is no connection");
      if (step.pause > 2000) wrong(self, "it waits for too long");
      put(&self->to_server, (message){.kind = CONNECT, .generation = ++self->generation});
      forget_subscription(self);
      break;
    case PUMP_STEP_DELIVER: deliver(self, &step); break;
    case PUMP_STEP_TELL_LIVE:
      if (self->is_live) wrong(self, "live twice");
      self->is_live = true;
      self->lives++;
      break;
    case PUMP_STEP_TELL_LOST:
      if (!self->is_live) wrong(self, "lost without having been live");
      self->is_live = false;
      self->losts++;
      self->untaken = 0;
      break;
    case PUMP_STEP_ANSWER: hear(self, &step.answer); break;
    case PUMP_STEP_FAIL: self->ended = step.code; return;
    default: wrong(self, "a step that it has no use for"); return;
    }
  }
  wrong(self, "it never waits");
}

/* ---- What happens ------------------------------------------------------------------------- */

static pump_page *page_of(const message *pushed) {
  size_t count = (size_t)pushed->count;
  pump_page *page = pump_page_new(NULL, count, 2 * count);
  for (size_t i = 0; i < count; i++) {
    pump_record *records = &pump_page_records(page)[2 * i];
    pump_event *event = &pump_page_events(page)[i];
    int number = pushed->first + (int)i;
    records[0] = (pump_record){.number = number, .id = id_of(number)};
    *event = (pump_event){.record = &records[0], .retry_count = pushed->retries};
    if (number % 3 != 0) continue; /* a link, whose target may be gone */
    records[1] = records[0];
    records[0].id = (pump_guid){{77}};
    event->link = &records[1];
    if (number % 2 == 0) event->record = NULL;
  }
  return page;
}

static void receive(run *self) {
  if (is_empty(&self->to_client)) return;
  message came = take(&self->to_client);
  if (came.generation != self->generation) return; /* the session drops those */
  switch (came.kind) {
  case YES: pump_consumer_machine_confirmed(self->machine); break;
  case NO:
  case DROP: pump_consumer_machine_dropped(self->machine, came.code, true); break;
  default:
    /* What follows in one read becomes one page. */
    while (!is_empty(&self->to_client) && came.count < 64) {
      const message *next = &self->to_client.messages[self->to_client.first % QUEUE];
      if (next->kind != PUSH || next->generation != came.generation ||
          next->first != came.first + came.count || next->retries != came.retries)
        break;
      came.count++;
      self->to_client.first++;
    }
    for (int i = 0; i < came.count; i++)
      self->unanswered[came.first + i]++;
    pump_consumer_machine_pushed(self->machine, page_of(&came));
  }
}

static void lose(run *self) {
  self->is_connected = false;
  self->to_server.first = self->to_server.last = self->to_client.first = self->to_client.last = 0;
  self->generation++;
  end_subscription(self);
  forget_subscription(self);
  pump_consumer_machine_lost(self->machine, PUMP_ECLOSED);
}

static void drop(run *self) {
  put(&self->to_client,
      (message){.kind = DROP, .generation = self->subscription, .code = PUMP_EDROPPED});
  end_subscription(self);
}

static void happen(run *self, bool is_rough) {
  self->now += up_to(self, 4);
  switch (up_to(self, 6)) {
  case 0: serve(self); break;
  case 1: deal(self); break;
  case 2:
  case 3: receive(self); break;
  case 4:
    if (self->untaken > 0 && chance(&self->dice, 800)) {
      size_t count = 1 + up_to(self, self->untaken - 1);
      self->untaken -= count;
      pump_consumer_machine_took(self->machine, count);
    }
    break;
  case 5: say_something(self); break;
  default:
    if (self->count < MOST / 2) self->count += (int)up_to(self, 5);
    if (!self->is_connected) {
      self->is_connected = true;
      pump_consumer_machine_found(self->machine);
    } else if (is_rough && chance(&self->dice, 30)) {
      lose(self);
    } else if (is_rough && self->subscription != 0 && chance(&self->dice, 20)) {
      drop(self);
    }
  }
  do_steps(self);
}

static bool is_settled(const run *self) {
  for (int i = 0; i < self->count; i++)
    if (self->events[i].standing != SETTLED) return false;
  return true;
}

static void play(run *self, uint64_t seed) {
  *self = (run){.seed = seed, .dice = seed * 2654435761u + 88172645463325252u};
  self->buffer_size = 1 + up_to(self, chance(&self->dice, 500) ? 3 : 60);
  self->timeout = chance(&self->dice, 500) ? 30 + up_to(self, 300) : 0;
  self->is_connected = true;
  pump_consumer_machine_new(&self->machine, self->buffer_size);
  do_steps(self);
  for (int i = 0; i < 1500 && !self->wrong && self->ended == 0; i++)
    happen(self, true);
  self->timeout = self->timeout ? self->timeout : 1000; /* what was answered wrongly comes again */
  for (int i = 0; i < 60000 && !self->wrong && self->ended == 0 && !is_settled(self); i++)
    happen(self, false);
  if (!self->wrong && self->ended == 0 && !is_settled(self)) wrong(self, "an event is never done");
  for (int i = 0; i < self->count; i++)
    if (self->events[i].answered > 0 && self->seen[i] == 0) wrong(self, "answered and never seen");
  if (self->ended != 0) wrong(self, "it ended");
  pump_consumer_machine_free(self->machine);
}

static void random_runs(void) {
  static run self;
  enum { RUNS = 2000 };
  long deliveries = 0, losts = 0, again = 0, answers = 0;
  int failed = 0;
  long alive = starve_alive;
  for (uint64_t seed = 1; seed <= RUNS; seed++) {
    play(&self, seed);
    deliveries += self.deliveries;
    losts += self.losts;
    answers += self.answers;
    for (int i = 0; i < self.count; i++)
      again += self.seen[i] > 1;
    if (self.wrong && failed++ < 5)
      printf("# seed %llu: %s\n", (unsigned long long)seed, self.wrong);
  }
  tap_ok(failed == 0, "%d runs: %ld events delivered, %ld events again, %ld messages of answers",
         RUNS, deliveries, again, answers);
  tap_ok(losts > RUNS, "it was interrupted %ld times", losts);
  tap_ok(starve_alive == alive, "nothing leaks");
}

/* ---- One by one --------------------------------------------------------------------------- */

static pump_step next(pump_consumer_machine *machine, uint64_t now) {
  return pump_consumer_machine_next(machine, now);
}

static pump_consumer_machine *live_machine(size_t buffer_size) {
  pump_consumer_machine *machine;
  pump_consumer_machine_new(&machine, buffer_size);
  next(machine, 0);
  pump_consumer_machine_confirmed(machine);
  next(machine, 0);
  return machine;
}

static void push(pump_consumer_machine *machine, int first, int count, int32_t retries) {
  message pushed = {.first = first, .count = count, .retries = retries};
  pump_consumer_machine_pushed(machine, page_of(&pushed));
}

static void acks_wait(void) {
  pump_consumer_machine *machine = live_machine(10);
  pump_guid ids[10];
  for (int i = 0; i < 10; i++)
    ids[i] = id_of(i);
  push(machine, 0, 10, 0);
  pump_page_unref(next(machine, 100).page);
  pump_consumer_machine_answer(machine, &(pump_answer){.ids = ids, .count = 2}, 100);
  tap_ok(next(machine, 100).kind == PUMP_STEP_WAIT && pump_consumer_machine_due(machine) == 110,
         "two acks of ten wait for 10 ms");
  pump_step step = next(machine, 110);
  tap_ok(step.kind == PUMP_STEP_ANSWER && step.answer.count == 2, "and no longer");
  pump_consumer_machine_answer(machine, &(pump_answer){.ids = ids + 2, .count = 5}, 120);
  step = next(machine, 120);
  tap_ok(step.kind == PUMP_STEP_ANSWER && step.answer.count == 5, "five of ten do not wait");
  pump_consumer_machine_answer(machine, &(pump_answer){.ids = ids + 7, .count = 3}, 130);
  step = next(machine, 130);
  tap_ok(step.kind == PUMP_STEP_ANSWER && step.answer.count == 3, "nor do the last that there are");
  push(machine, 20, 2, 0);
  pump_guid other = id_of(20);
  pump_consumer_machine_answer(machine, &(pump_answer){.ids = &other, .count = 1}, 140);
  pump_answer answer;
  tap_ok(pump_consumer_machine_settle(machine, &answer) && answer.count == 1 &&
             !pump_consumer_machine_settle(machine, &answer),
         "what settles is told at once");
  pump_consumer_machine_free(machine);
}

static void ends(void) {
  static const int codes[] = {PUMP_ENOGROUP, PUMP_EACCESS, PUMP_EBADREQUEST};
  for (size_t i = 0; i < 3; i++) {
    pump_consumer_machine *machine = live_machine(10);
    push(machine, 0, 3, 0);
    pump_consumer_machine_dropped(machine, codes[i], false);
    pump_step step = next(machine, 0);
    tap_ok(step.kind == PUMP_STEP_FAIL && step.code == codes[i] &&
               next(machine, 0).kind == PUMP_STEP_WAIT &&
               pump_consumer_machine_state(machine) == PUMP_SUBSCRIPTION_CLOSED,
           "dropped for good: %s", pump_error_name(codes[i]));
    pump_consumer_machine_lost(machine, PUMP_ECLOSED);
    pump_consumer_machine_found(machine);
    tap_ok(next(machine, 0).kind == PUMP_STEP_WAIT, "and nothing wakes it");
    pump_consumer_machine_free(machine);
  }
}

/* What cannot be read is asked for again some times; what is read in between begins anew. */
static void noise(void) {
  pump_consumer_machine *machine = live_machine(10);
  int asked = 0;
  pump_step step;
  do {
    if (asked == 2) push(machine, 0, 1, 0);
    while ((step = next(machine, 0)).kind != PUMP_STEP_WAIT)
      if (step.kind == PUMP_STEP_DELIVER) pump_page_unref(step.page);
    pump_consumer_machine_dropped(machine, PUMP_EPROTOCOL, false);
    step = next(machine, 0);
    if (step.kind == PUMP_STEP_TELL_LOST) step = next(machine, 0);
    asked += step.kind == PUMP_STEP_SUBSCRIBE;
    pump_consumer_machine_confirmed(machine);
  } while (step.kind == PUMP_STEP_SUBSCRIBE && asked < 20);
  tap_ok(asked == 5 && step.kind == PUMP_STEP_FAIL && step.code == PUMP_EPROTOCOL,
         "noise is asked about anew, %d times here", asked);
  pump_consumer_machine_free(machine);
}

/* A group that is full stays so for good some time. */
static void full_groups(void) {
  pump_consumer_machine *machine = live_machine(10);
  pump_consumer_machine_lost(machine, PUMP_ECLOSED);
  pump_consumer_machine_found(machine);
  int tries = 0;
  uint64_t waited = 0;
  pump_step step = {0};
  while (step.kind != PUMP_STEP_FAIL && tries < 100) {
    step = next(machine, 0);
    if (step.kind != PUMP_STEP_SUBSCRIBE) continue;
    waited += step.pause;
    tries++;
    pump_consumer_machine_dropped(machine, PUMP_EMAXSUBSCRIBERS, true);
  }
  tap_ok(step.code == PUMP_EMAXSUBSCRIBERS && waited >= 5000 && waited < 20000,
         "a group that stays full is given up after %d tries in %d ms", tries, (int)waited);
  pump_consumer_machine_free(machine);
}

static void memory_is_bounded(void) {
  long before = starve_alive;
  pump_consumer_machine *machine = live_machine(100);
  for (int i = 0; i < 1000000; i++)
    push(machine, i, 1, 0);
  tap_ok(starve_alive - before <= 110,
         "a million events that nobody takes cost %ld pieces of memory", starve_alive - before);
  pump_step step = next(machine, 0);
  pump_guid first = pump_event_id(step.page->events);
  tap_ok(number_of(&first) == 1000000 - 100, "and the newest are there");
  pump_page_unref(step.page);
  pump_consumer_machine_free(machine);
}

/* Each allocation failed: it asks for its events again, or says that it did not hear. */
static int starved(void *ud) {
  pump_consumer_machine *machine;
  pump_guid ids[40];
  (void)ud;
  if (pump_consumer_machine_new(&machine, 40) != 0) return PUMP_ENOMEM;
  int code = 0;
  next(machine, 0);
  pump_consumer_machine_confirmed(machine);
  next(machine, 0);
  for (int i = 0; i < 40 && code == 0; i++) {
    long at = starve_at, count = starve_count;
    starve_at = 0;
    message pushed = {.first = i, .count = 1};
    pump_page *page = page_of(&pushed);
    starve_at = at;
    starve_count = count;
    ids[i] = id_of(i);
    pump_consumer_machine_pushed(machine, page);
    if (pump_consumer_machine_state(machine) != PUMP_SUBSCRIPTION_LIVE) code = PUMP_ENOMEM;
  }
  if (code != 0) {
    bool leaves = next(machine, 0).kind == PUMP_STEP_UNSUBSCRIBE;
    pump_step lost = next(machine, 0);
    if (!leaves || lost.kind != PUMP_STEP_TELL_LOST || lost.code != PUMP_ENOMEM ||
        next(machine, 0).kind != PUMP_STEP_SUBSCRIBE)
      code = PUMP_EPROTOCOL;
  } else {
    code = pump_consumer_machine_answer(machine, &(pump_answer){.ids = ids, .count = 40}, 0);
  }
  pump_consumer_machine_free(machine);
  return code;
}

int main(void) {
  acks_wait();
  ends();
  noise();
  full_groups();
  memory_is_bounded();
  long allocations = starve(starved, NULL, PUMP_ENOMEM);
  tap_ok(allocations > 5, "each of %ld allocations may fail", allocations);
  random_runs();
  return tap_done();
}
