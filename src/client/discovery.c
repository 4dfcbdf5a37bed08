#include "client/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "client/client.h"
#include "net/http.h"
#include "net/localhost.h"
#include "net/lookup.h"
#include "net/random.h"

#define MAX_TARGETS    64
#define MAX_HOST       256
#define MAX_ANSWER     ((size_t)1024 * 1024)
#define MOMENT         250 /* ms that one may take before the next one is asked too */
#define FIRST_PAUSE    100 /* ms between two rounds, doubling */
#define LONGEST_PAUSE  500
#define LOOKUP_TIMEOUT 2000

#define GOSSIP_HINT                                                                                \
  " (a single node of version 4 or 5 answers gossip only when started with "                       \
  "--gossip-on-single-node)"
#define PLAIN_HINT                                                                                 \
  " (is gossip plain HTTP there, as before version 20? then say gossip_tls = false)"

typedef enum target_state { LOOKING, READY, ASKING, DONE } target_state;

/* One address to ask. */
typedef struct target {
  pump_discovery *discovery;
  target_state state;
  char host[MAX_HOST];
  char address[64]; /* "": the host is one */
  int port;
  pump_fetch *get;
  pump_lookup *lookup; /* while LOOKING */
  bool is_mute;        /* took the request and did not answer */
  bool has_no_tls;     /* where it was asked by HTTPS */
  char said[160];      /* what became of it */
  char of_tls[160];    /* and of TLS, where it is asked by plain HTTP now */
} target;

struct pump_discovery {
  uv_loop_t *loop;
  pump_discovery_options options;
  pump_url *seeds;
  pump_members *known;
  pump_fetcher *http;
  uv_timer_t timer;
  target targets[MAX_TARGETS];
  size_t count;
  size_t teller; /* who told last */
  unsigned round;
  uint64_t round_started;
  bool is_pausing;   /* between two rounds */
  bool is_satisfied; /* nobody is asked */
  bool is_closing;
  char before[400]; /* what was found out in the last round */
  const pump_discovery_events *events;
  void *ud;
  int open_parts;
  void (*closed)(void *ud);
  void *closed_ud;
};

static void advance(pump_discovery *self);
static void on_tick(uv_timer_t *timer);

/* ---- Words -------------------------------------------------------------------------------- */

static void describe_target(const target *one, char *text, size_t size) {
  bool in_brackets = strchr(one->host, ':') != NULL, is_plain = *one->of_tls != '\0';
  const char *unsaid = one->lookup ? "its name is not resolved so far" : "no answer so far";
  const char *said = *one->said ? one->said : unsaid;
  char address[72] = "";
  if (*one->address) snprintf(address, sizeof address, " (%s)", one->address);
  snprintf(text, size, in_brackets ? "[%s]:%d%s: %s%s%s" : "%s:%d%s: %s%s%s", one->host, one->port,
           address, one->of_tls, is_plain ? ", and by plain HTTP: " : "", said);
}

void pump_discovery_describe(const pump_discovery *self, char *text, size_t size) {
  bool is_mute = false, has_no_tls = false, has_said = false;
  size_t at = 0;
  *text = '\0';
  for (size_t i = 0; i < self->count; i++)
    has_said = has_said || *self->targets[i].said;
  if (!has_said && *self->before) {
    snprintf(text, size, "%s", self->before);
    return;
  }
  for (size_t i = 0; i < self->count && at < size; i++) {
    char part[MAX_HOST + 512];
    describe_target(&self->targets[i], part, sizeof part);
    is_mute = is_mute || self->targets[i].is_mute;
    has_no_tls = has_no_tls || (self->targets[i].has_no_tls && !*self->targets[i].of_tls);
    at += (size_t)snprintf(text + at, size - at, "%s%s", i > 0 ? "; " : "", part);
  }
  if ((is_mute || has_no_tls) && at < size)
    snprintf(text + at, size - at, "%s", is_mute ? GOSSIP_HINT : PLAIN_HINT);
}

/* ---- Who is asked ------------------------------------------------------------------------- */

static bool is_address(const char *host) {
  struct sockaddr_in6 any;
  return uv_ip4_addr(host, 0, (struct sockaddr_in *)&any) == 0 || uv_ip6_addr(host, 0, &any) == 0;
}

static target *add_target(pump_discovery *self, const char *host, const char *address, int port) {
  if (self->count == MAX_TARGETS || strlen(host) >= MAX_HOST || port <= 0) return NULL;
  for (size_t i = 0; i < self->count; i++) {
    const target *other = &self->targets[i];
    if (other->port == port && strcmp(other->host, host) == 0 &&
        strcmp(other->address, address) == 0)
      return NULL;
  }
  target *one = &self->targets[self->count++];
  *one = (target){.discovery = self, .state = READY, .port = port};
  snprintf(one->host, sizeof one->host, "%s", host);
  snprintf(one->address, sizeof one->address, "%s", address);
  return one;
}

static void fail_target(target *one, const char *why) {
  one->state = DONE;
  snprintf(one->said, sizeof one->said, "%s", why);
}

/* ---- Names -------------------------------------------------------------------------------- */

static void forget_lookups(pump_discovery *self) {
  for (size_t i = 0; i < self->count; i++) {
    if (self->targets[i].lookup) pump_lookup_cancel(self->targets[i].lookup);
    self->targets[i].lookup = NULL;
  }
}

/* The first address is the target's own, the others become targets too. */
static void take_addresses(target *one, const struct addrinfo *addresses) {
  for (const struct addrinfo *it = addresses; it; it = it->ai_next) {
    char address[sizeof one->address];
    if (uv_ip_name(it->ai_addr, address, sizeof address) != 0) continue;
    if (one->state == LOOKING) {
      one->state = READY;
      memcpy(one->address, address, sizeof address);
    } else {
      add_target(one->discovery, one->host, address, one->port);
    }
  }
  if (one->state == LOOKING) fail_target(one, "the name has no address");
}

static void on_lookup(void *ud, int code, const struct addrinfo *addresses) {
  target *one = ud;
  struct sockaddr_in loopback;
  struct addrinfo itself = {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&loopback};
  one->lookup = NULL;
  if (code == 0)
    take_addresses(one, addresses);
  else if (pump_localhost(one->host, 0, &loopback))
    take_addresses(one, &itself);
  else
    fail_target(one, uv_strerror(code));
  advance(one->discovery);
}

static void look_up(target *one) {
  int code =
      pump_lookup_start(&one->lookup, one->discovery->loop, one->host, one->port, on_lookup, one);
  if (code == 0)
    one->state = LOOKING;
  else
    fail_target(one, uv_strerror(code));
}

/* ---- Asking ------------------------------------------------------------------------------- */

/* Nobody is asked any more; whoever did not answer may be asked again. */
static void stop_asking(pump_discovery *self) {
  for (size_t i = 0; i < self->count; i++) {
    target *one = &self->targets[i];
    if (one->state != ASKING) continue;
    pump_fetch_cancel(one->get);
    one->state = READY;
  }
  uv_timer_stop(&self->timer);
}

/* It is asked once more. No secret is in a request for gossip. */
static void ask_plainly(target *one) {
  one->state = READY;
  snprintf(one->of_tls, sizeof one->of_tls, "%s", one->said);
  *one->said = '\0';
}

static void on_answer(void *ud, int status, pump_bytes body, const char *message) {
  target *one = ud;
  pump_discovery *self = one->discovery;
  char why[sizeof one->said];
  one->is_mute = status == PUMP_ETIMEOUT;
  one->has_no_tls = status == PUMP_FETCH_NO_TLS;
  snprintf(why, sizeof why, "%s", message);
  fail_target(one, why);
  if (one->has_no_tls && self->options.may_be_plain) ask_plainly(one);
  if (status == 0) {
    if (*one->of_tls && self->events->was_plain)
      self->events->was_plain(self->ud, one->host, one->port, one->of_tls);
    self->teller = (size_t)(one - self->targets);
    self->is_satisfied = true;
    stop_asking(self);
    bool is_enough = self->events->told(self->ud, body, why, sizeof why);
    if (self->is_closing || is_enough) return;
    self->is_satisfied = false;
    fail_target(one, why);
  }
  advance(self);
}

static void ask(pump_discovery *self, target *one) {
  const pump_tls_options *tls = *one->of_tls ? NULL : self->options.tls;
  pump_fetch_request request = {
      .host = tls && tls->server_name ? tls->server_name : one->host,
      .address = *one->address ? one->address : one->host,
      .port = one->port,
      .path = self->options.path,
      .tls = tls,
      .timeout = self->options.timeout,
      .max_size = MAX_ANSWER,
  };
  int code = pump_fetch_start(&one->get, self->http, &request, on_answer, one);
  if (code == 0)
    one->state = ASKING;
  else
    fail_target(one, pump_error_sentence(code));
}

/* One of those who were not asked yet, or NULL. */
static target *pick(pump_discovery *self) {
  target *ready[MAX_TARGETS];
  uint32_t count = 0, random = 0;
  for (size_t i = 0; i < self->count; i++)
    if (self->targets[i].state == READY) ready[count++] = &self->targets[i];
  if (count == 0) return NULL;
  pump_random_take(&random, sizeof random);
  return ready[random % count];
}

/* ---- Rounds ------------------------------------------------------------------------------- */

static void set_timer(pump_discovery *self, uint64_t wait) {
  uint64_t now = pump_client_now(), deadline = self->options.deadline;
  uint64_t left = deadline > now ? deadline - now : 0;
  uv_update_time(self->loop);
  uv_timer_start(&self->timer, on_tick, wait < left ? wait : left, 0);
}

static void start_round(pump_discovery *self) {
  pump_discovery_describe(self, self->before, sizeof self->before);
  forget_lookups(self);
  self->count = 0;
  self->is_pausing = false;
  self->round++;
  self->round_started = pump_client_now();
  for (size_t i = 0; i < self->seeds->host_count; i++)
    add_target(self, self->seeds->hosts[i].name, "", self->seeds->hosts[i].port);
  for (size_t i = 0; self->known && i < self->known->count; i++) {
    const pump_member *member = &self->known->members[i];
    if (member->http_host) add_target(self, member->http_host, "", member->http_port);
  }
  size_t count = self->count;
  for (size_t i = 0; i < count; i++)
    if (!is_address(self->targets[i].host)) look_up(&self->targets[i]);
}

static void pause_round(pump_discovery *self) {
  unsigned doublings = self->round < 4 ? self->round - 1 : 3;
  uint64_t wait = (uint64_t)FIRST_PAUSE << doublings;
  self->is_pausing = true;
  set_timer(self, wait < LONGEST_PAUSE ? wait : LONGEST_PAUSE);
}

/* Look-ups that take too long end with the round, but not before. */
static bool is_looking(const pump_discovery *self) {
  bool is = false;
  for (size_t i = 0; i < self->count; i++)
    is = is || self->targets[i].lookup;
  return is && pump_client_now() < self->round_started + LOOKUP_TIMEOUT;
}

static bool is_asking(const pump_discovery *self) {
  for (size_t i = 0; i < self->count; i++)
    if (self->targets[i].state == ASKING) return true;
  return false;
}

static void end_lookups(pump_discovery *self) {
  for (size_t i = 0; i < self->count; i++)
    if (self->targets[i].state == LOOKING)
      fail_target(&self->targets[i], "the name was not resolved in time");
  forget_lookups(self);
}

/* Asks the next one, or waits for those who were asked, or for the next round. */
static void advance(pump_discovery *self) {
  target *one;
  if (self->is_satisfied || self->is_pausing) return;
  while ((one = pick(self))) {
    ask(self, one);
    if (one->state == ASKING) {
      set_timer(self, MOMENT);
      return;
    }
  }
  if (is_asking(self) || is_looking(self)) {
    set_timer(self, MOMENT);
    return;
  }
  end_lookups(self);
  pause_round(self);
}

static void on_tick(uv_timer_t *timer) {
  pump_discovery *self =
      (pump_discovery *)(void *)((char *)timer - offsetof(pump_discovery, timer));
  if (pump_client_now() >= self->options.deadline) {
    self->is_satisfied = true;
    stop_asking(self);
    self->events->gave_up(self->ud);
    return;
  }
  if (self->is_pausing || self->round == 0) start_round(self);
  advance(self);
}

void pump_discovery_go_on(pump_discovery *self, const char *why) {
  fail_target(&self->targets[self->teller], why);
  self->is_satisfied = false;
  advance(self);
}

/* ---- Birth and death ---------------------------------------------------------------------- */

int pump_seeds_parse(pump_url **hosts, const char *seeds) {
  pump_buffer text = {0};
  char error[8];
  *hosts = NULL;
  pump_buffer_text(&text, "discover://");
  pump_buffer_text(&text, seeds);
  int code = text.failed ? PUMP_ENOMEM
                         : pump_url_parse(hosts, (pump_bytes){(const char *)text.data, text.size},
                                          error, sizeof error);
  pump_buffer_free(&text);
  if (code == 0 && !(*hosts)->username && (*hosts)->option_count == 0) return 0;
  pump_url_free(*hosts);
  *hosts = NULL;
  return code != 0 ? code : PUMP_EINVALID;
}

int pump_discovery_new(pump_discovery **out, struct uv_loop_s *loop,
                       const pump_discovery_options *options, const pump_discovery_events *events,
                       void *ud) {
  *out = NULL;
  pump_discovery *self = calloc(1, sizeof *self);
  if (!self) return PUMP_ENOMEM;
  int code = pump_seeds_parse(&self->seeds, options->seeds);
  if (code == 0) code = pump_fetcher_new(&self->http, loop);
  if (code != 0) {
    pump_url_free(self->seeds);
    free(self);
    return code;
  }
  self->loop = loop;
  self->options = *options;
  self->options.seeds = NULL;
  self->known = options->known ? pump_members_ref(options->known) : NULL;
  self->events = events;
  self->ud = ud;
  uv_timer_init(loop, &self->timer);
  set_timer(self, 0);
  *out = self;
  return 0;
}

static void on_part_gone(void *ud) {
  pump_discovery *self = ud;
  if (--self->open_parts > 0) return;
  self->closed(self->closed_ud);
  free(self);
}

static void on_timer_gone(uv_handle_t *handle) {
  on_part_gone((char *)handle - offsetof(pump_discovery, timer));
}

void pump_discovery_close(pump_discovery *self, void (*closed)(void *ud), void *ud) {
  self->is_closing = true;
  self->is_satisfied = true;
  self->closed = closed;
  self->closed_ud = ud;
  self->open_parts = 2;
  forget_lookups(self);
  pump_url_free(self->seeds);
  pump_members_unref(self->known);
  uv_close((uv_handle_t *)&self->timer, on_timer_gone);
  pump_fetcher_close(self->http, on_part_gone, self);
}
