/* A program on libpump as its user would write it, measured.
 *
 *   client PORT read|all|publish|single|ping EVENTS [IN_FLIGHT] */
#include <pump.h>
#include <string.h>
#include <uv.h>

#include "base/bytes.h"
#include "canned.h"
#include "measure.h"

#define WARM_UP 20 /* pages or batches */

static struct {
  const char *what;
  long long events, wanted, warm_up; /* the last two with the warm-up, in requests */
  long long in_flight, sent, answered;
  pump_read read;
  pump_new_event *batch;
  size_t batch_size;
  double *trips;
  measure start;
  long long touched;
} run;

static void check(int code, const char *message) {
  if (code == 0) return;
  fprintf(stderr, "bench/client: %s\n", message ? message : pump_error_sentence(code));
  exit(1);
}

static bool is(const char *what) {
  return strcmp(run.what, what) == 0;
}

static void ask(pump_client *client);

static void on_page(pump_client *client, const pump_result *result, void *ud) {
  (void)ud;
  check(result->status, result->message);
  const pump_page *page = result->page;
  run.read.from = page->next_event_number;
  run.read.position = page->next_position;
  run.answered++;
  if (run.answered == run.warm_up) run.start = measure_now();
  ask(client);
  for (size_t i = 0; i < page->count; i++) {
    const pump_record *record = page->events[i].record;
    run.touched += record->number + (long long)record->type.size;
  }
}

static void on_written(pump_client *client, const pump_result *result, void *ud) {
  (void)ud;
  check(result->status, result->message);
  run.answered++;
  if (run.answered == run.warm_up) run.start = measure_now();
  ask(client);
}

static void on_pong(pump_client *client, const pump_result *result, void *ud) {
  (void)ud;
  check(result->status, result->message);
  if (run.answered >= run.warm_up)
    run.trips[run.answered - run.warm_up] = (double)result->elapsed_ns / 1e9;
  run.answered++;
  if (run.answered == run.warm_up) run.start = measure_now();
  ask(client);
}

static void ask_one(pump_client *client) {
  pump_bytes stream = pump_bytes_of("bench-200000000");
  int code;
  if (is("read"))
    code = pump_client_read_stream(client, stream, &run.read, NULL, on_page, NULL);
  else if (is("all"))
    code = pump_client_read_all(client, &run.read, NULL, on_page, NULL);
  else if (is("ping"))
    code = pump_client_ping(client, NULL, on_pong, NULL);
  else
    code = pump_client_append(client, pump_bytes_of("bench-write"), PUMP_ANY, run.batch,
                              run.batch_size, NULL, on_written, NULL);
  check(code, NULL);
  run.sent++;
}

static void ask(pump_client *client) {
  while (run.sent < run.wanted && run.sent - run.answered < run.in_flight)
    ask_one(client);
  if (run.answered < run.wanted) return;
  if (is("ping"))
    measure_say_trips(run.start, run.trips, (size_t)run.events);
  else
    measure_say(run.start, run.events);
  pump_client_close(client, NULL, NULL);
}

static void on_connect(pump_client *client, const pump_result *result, void *ud) {
  (void)ud;
  check(result->status, result->message);
  ask(client);
}

static void prepare(long long events, long long in_flight) {
  run.events = events;
  run.in_flight = in_flight;
  run.warm_up = WARM_UP + in_flight;
  run.batch_size = is("publish") ? CANNED_PAGE : 1;
  if (is("read") || is("all")) {
    run.read = (pump_read){.max_count = CANNED_PAGE};
    run.in_flight = 1; /* where the next page starts is known when one has come */
    run.wanted = events / CANNED_PAGE;
  } else if (is("ping")) {
    run.in_flight = 1;
    run.warm_up = 1000;
    run.wanted = events;
    run.trips = calloc((size_t)events + 1, sizeof *run.trips);
  } else {
    run.wanted = events / (long long)run.batch_size;
    run.batch = calloc(run.batch_size, sizeof *run.batch);
    for (size_t i = 0; i < run.batch_size; i++)
      run.batch[i] = (pump_new_event){
          .type = canned_type, .data = {canned_body, sizeof canned_body - 1}, .is_json = true};
  }
  run.wanted += run.warm_up;
}

int main(int count, char **arguments) {
  if (count < 4) return 2;
  run.what = arguments[2];
  prepare(atoll(arguments[3]), count > 4 ? atoll(arguments[4]) : 4);
  pump_client *client;
  pump_options options;
  pump_options_init(&options);
  options.port = atoi(arguments[1]);
  check(pump_client_new(&client, uv_default_loop(), &options), NULL);
  check(pump_client_connect(client, on_connect, NULL), NULL);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  return run.answered == run.wanted ? 0 : 1;
}
