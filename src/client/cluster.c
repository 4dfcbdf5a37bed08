#include "client/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "conversation/gossip.h"

#define GOSSIP         "/gossip?format=json"
#define HTTP_PORT      2113
#define GOSSIP_TIMEOUT 2000 /* ms that a seed may take */
#define REFUSED_FOR    1000 /* ms in which a member that could not be reached is passed over */
#define LOOK_AGAIN     500  /* ms after which a follower's client asks for the leader again */
#define MAX_CENSUSES   64   /* that wait; each may have connections to several members */

static bool is_secure(const pump_client *client) {
  return client->options.tls.enable;
}

/* With TLS gossip comes by HTTPS, unless the program knows better. */
static const pump_tls_options *tls_of(const pump_client *client) {
  int gossip = client->options.gossip;
  bool is_plain = gossip == PUMP_GOSSIP_AS_FITS ? !is_secure(client) : gossip == PUMP_GOSSIP_PLAIN;
  return is_plain ? NULL : &client->options.tls;
}

/* Gossip that anybody can forge may name anybody, and the system's authorities vouch for anybody
 * by his own name. Our own authority does not, and nor is he who server_name says. */
static bool is_forgery_harmless(const pump_client *client) {
  const pump_tls_options *tls = &client->options.tls;
  return tls->ca || tls->server_name || !tls->verify;
}

static bool may_be_plain(const pump_client *client) {
  return client->options.gossip == PUMP_GOSSIP_AS_FITS && is_secure(client) &&
         is_forgery_harmless(client);
}

/* It was asked for, and is no good idea. */
static void warn_of_plain(pump_client *client) {
  pump_cluster *cluster = &client->cluster;
  if (cluster->has_warned || client->options.gossip != PUMP_GOSSIP_PLAIN || !is_secure(client) ||
      is_forgery_harmless(client))
    return;
  cluster->has_warned = true;
  pump_client_log(client, PUMP_LOG_WARNING, NULL,
                  "gossip by plain HTTP: whoever forges it can name any server that the system's "
                  "authorities vouch for; with a ca or a server_name it has to be yours");
}

static void say_plain(pump_client *client, const char *host, int port, const char *why) {
  int level = client->cluster.has_warned ? PUMP_LOG_DEBUG : PUMP_LOG_WARNING;
  char name[300];
  client->cluster.has_warned = true;
  pump_address_write(name, sizeof name, host, port);
  pump_client_log(client, level, &(pump_log_fields){.address = name},
                  "%s: gossip by plain HTTP, which anybody can forge, but not the member that is "
                  "connected to: %s",
                  name, why);
}

static void nobody_waits(void *ud) {
  (void)ud;
}

/* So much that there is time for a second try. */
static uint64_t gossip_timeout(uint64_t all) {
  return all / 2 < GOSSIP_TIMEOUT ? all / 2 + 1 : GOSSIP_TIMEOUT;
}

static void keep(pump_members **place, pump_members *members) {
  pump_members *old = *place;
  *place = members ? pump_members_ref(members) : NULL;
  pump_members_unref(old);
}

/* ---- Choosing ----------------------------------------------------------------------------- */

static int port_of(const pump_client *client, const pump_member *member) {
  return is_secure(client) ? member->secure_tcp_port : member->tcp_port;
}

/* NULL: it may be tried. */
static const pump_refusal *refusal_of(const pump_client *client, const pump_member *member,
                                      uint64_t now) {
  int port = port_of(client, member);
  for (size_t i = 0; i < PUMP_REFUSALS; i++) {
    const pump_refusal *refusal = &client->cluster.refusals[i];
    if (refusal->until > now && refusal->port == port && member->tcp_host &&
        strcmp(refusal->host, member->tcp_host) == 0)
      return refusal;
  }
  return NULL;
}

static uint64_t refused(const pump_client *client, const pump_members *members, uint64_t now) {
  uint64_t mask = 0;
  for (size_t i = 0; i < members->count; i++) {
    if (refusal_of(client, &members->members[i], now)) mask |= UINT64_C(1) << i;
  }
  return mask;
}

/* Why none of them was chosen. */
static void say_why_not(const pump_client *client, const pump_members *members,
                        const pump_gossip_choice *choice, uint64_t now, char *text, size_t size) {
  size_t at = (size_t)snprintf(
      text, size, members->count == 0 ? "it knows no members" : "none of its members will do: ");
  for (size_t i = 0; i < members->count && at < size; i++) {
    const pump_member *member = &members->members[i];
    const pump_refusal *refusal = refusal_of(client, member, now);
    const char *why = refusal ? refusal->why : "is not the leader";
    if (!refusal) pump_gossip_is_usable(member, choice->is_secure, &why);
    int port = port_of(client, member);
    at += (size_t)snprintf(
        text + at, size - at, "%s%s %s:%d%s %s", i > 0 ? ", " : "",
        member->state ? member->state : "member", member->tcp_host ? member->tcp_host : "?",
        port > 0 ? port : member->http_port, refusal ? " could not be reached:" : "", why);
  }
}

/* And may leave a connection for it. */
static bool wants_leader(const pump_client *client) {
  return client->options.selector == PUMP_SELECT_LEADER && !client->options.choose &&
         client->options.reconnect_attempts > 0;
}

/* What the program maps its address to. */
static void on_address(pump_client *client, const char *host, int port) {
  char name[sizeof client->known_as];
  int code = host ? pump_client_reach(client, &client->stream, host, port) : PUMP_ECONNECT;
  if (code != 0) {
    pump_client_lose(client, code, host ? pump_error_sentence(code) : "nobody knows its address");
    return;
  }
  snprintf(name, sizeof name, "%s", client->endpoint);
  pump_client_name_endpoint(client, host, port);
  snprintf(client->known_as, sizeof client->known_as, "%s", name);
}

static int reach(pump_client *client, const pump_member *member) {
  pump_cluster *cluster = &client->cluster;
  uint64_t now = pump_client_now();
  const char *host = member->tcp_host;
  int port = port_of(client, member);
  pump_client_name_endpoint(client, host, port);
  int code = 0;
  if (!client->options.resolve) code = pump_client_reach(client, &client->stream, host, port);
  if (code != 0) return code;
  pump_refusal *refusal = &cluster->refusals[cluster->next_refusal % PUMP_REFUSALS];
  snprintf(refusal->host, sizeof refusal->host, "%s", host);
  refusal->port = port;
  refusal->until = 0; /* it is none yet */
  cluster->member_deadline = now + client->options.connect_timeout / 2;
  cluster->is_makeshift = wants_leader(client) && !member->is_leader;
  pump_client_log(client, PUMP_LOG_DEBUG, NULL, "%s: %s, found by gossip", client->endpoint,
                  member->state ? member->state : "member");
  if (client->options.resolve) pump_address_find(client, host, port, on_address);
  return 0;
}

/* The leader is found while the client makes do with somebody else. */
static void find_leader(pump_client *client, const pump_members *members, uint64_t now) {
  pump_gossip_choice choice = {.selector = PUMP_SELECT_LEADER,
                               .is_secure = is_secure(client),
                               .leader_only = true,
                               .refused = refused(client, members, now)};
  int index = pump_gossip_choose(members, &choice);
  if (index >= 0) {
    const pump_member *leader = &members->members[index];
    pump_redirect_to(client, leader->tcp_host, port_of(client, leader));
  }
  client->cluster.look_at = now + LOOK_AGAIN;
  pump_client_set_timer(client);
}

void pump_cluster_look(pump_client *client) {
  client->cluster.look_at = 0;
  pump_discovery_go_on(client->cluster.discovery, "it names no leader");
}

static bool on_told(void *ud, pump_bytes body, char *why, size_t size) {
  pump_client *client = ud;
  pump_cluster *cluster = &client->cluster;
  uint64_t now = pump_client_now();
  pump_members *members;
  if (pump_gossip_parse(&members, body, why, size) != 0) return false;
  keep(&cluster->told, members);
  pump_members_unref(members); /* but for us */
  if (client->state == PUMP_STATE_CONNECTED) {
    keep(&cluster->known, members);
    find_leader(client, members, now);
    return true;
  }
  if (client->options.choose) {
    cluster->is_choosing = true;
    client->options.choose(client->options.choose_ud, client, members);
    return true;
  }
  pump_gossip_choice choice = {.selector = client->options.selector,
                               .is_secure = is_secure(client),
                               .leader_only = now < cluster->leader_until,
                               .refused = refused(client, members, now)};
  pump_random_take(&choice.random, sizeof choice.random);
  int index = pump_gossip_choose(members, &choice);
  if (index < 0) {
    say_why_not(client, members, &choice, now, why, size);
    return false;
  }
  int code = reach(client, &members->members[index]);
  if (code != 0) snprintf(why, size, "%s", pump_error_sentence(code));
  return code == 0;
}

static void on_gave_up(void *ud) {
  (void)ud; /* the client has a deadline of its own */
}

static void on_plain(void *ud, const char *host, int port, const char *why) {
  say_plain(ud, host, port, why);
}

/* The program has chosen one that it can't have, or none. */
static void choose_again(pump_client *client, const char *why) {
  pump_discovery_go_on(client->cluster.discovery, why);
}

int pump_client_choose(pump_client *client, int index, const char *why) {
  pump_cluster *cluster = &client->cluster;
  if (!cluster->is_choosing || client->is_closing || index < -1 ||
      (index >= 0 && (size_t)index >= cluster->told->count))
    return PUMP_EINVALID;
  cluster->is_choosing = false;
  if (index >= 0) {
    const pump_member *member = &cluster->told->members[index];
    if (!member->tcp_host || port_of(client, member) == 0)
      choose_again(client, "the member that was chosen has no TCP address");
    else if (reach(client, member) != 0)
      choose_again(client, pump_error_sentence(PUMP_ENOMEM));
  } else if (!why) {
    choose_again(client, "none of its members was chosen");
  } else {
    snprintf(cluster->verdict, sizeof cluster->verdict, "%s", why);
    client->connect_deadline = 1; /* has come: the client's timer ends it */
  }
  pump_client_set_timer(client);
  return 0;
}

/* ---- Looking for a member ----------------------------------------------------------------- */

int pump_cluster_find(pump_client *client) {
  static const pump_discovery_events events = {on_told, on_gave_up, on_plain};
  pump_cluster *cluster = &client->cluster;
  uint64_t wait = client->options.connect_timeout;
  pump_discovery_options options = {.seeds = client->options.seeds,
                                    .path = GOSSIP,
                                    .known = cluster->known,
                                    .tls = tls_of(client),
                                    .may_be_plain = may_be_plain(client),
                                    .timeout = gossip_timeout(wait),
                                    .deadline = UINT64_MAX};
  cluster->leader_until = pump_client_now() + wait / 2;
  cluster->verdict[0] = '\0';
  client->endpoint[0] = '\0';
  warn_of_plain(client);
  return pump_discovery_new(&cluster->discovery, client->loop, &options, &events, client);
}

/* Wrong credentials are wrong everywhere, and without memory nothing gets better. */
static bool is_final(int code) {
  return code == PUMP_ENOTAUTHENTICATED || code == PUMP_EACCESS || code == PUMP_ENOMEM;
}

bool pump_cluster_go_on(pump_client *client, int code, const char *reason) {
  pump_cluster *cluster = &client->cluster;
  char why[400];
  if (!cluster->discovery || cluster->member_deadline == 0 || is_final(code)) return false;
  snprintf(why, sizeof why, "it named %.200s: %.150s", client->endpoint, reason);
  pump_client_log(client, PUMP_LOG_DEBUG, &(pump_log_fields){.code = code}, "%s: %s",
                  client->endpoint, reason);
  pump_refusal *refusal = &cluster->refusals[cluster->next_refusal++ % PUMP_REFUSALS];
  refusal->until = pump_client_now() + REFUSED_FOR;
  snprintf(refusal->why, sizeof refusal->why, "%s", reason);
  cluster->member_deadline = 0;
  pump_address_forget(client);
  pump_discovery_go_on(cluster->discovery, why);
  return true;
}

void pump_cluster_stop(pump_client *client) {
  pump_cluster *cluster = &client->cluster;
  if (cluster->discovery) pump_discovery_close(cluster->discovery, nobody_waits, NULL);
  cluster->discovery = NULL;
  cluster->is_choosing = false;
  cluster->member_deadline = cluster->look_at = 0;
  cluster->is_makeshift = false;
  pump_address_forget(client);
}

void pump_cluster_settle(pump_client *client) {
  pump_cluster *cluster = &client->cluster;
  if (!cluster->discovery) return;
  keep(&cluster->known, cluster->told);
  if (!cluster->is_makeshift) {
    pump_cluster_stop(client);
    return;
  }
  cluster->member_deadline = 0;
  cluster->look_at = pump_client_now() + LOOK_AGAIN;
}

void pump_cluster_explain(const pump_client *client, char *text, size_t size) {
  const pump_cluster *cluster = &client->cluster;
  char tried[500];
  if (cluster->verdict[0]) {
    snprintf(text, size, "no member was chosen: %s", cluster->verdict);
    return;
  }
  pump_discovery_describe(cluster->discovery, tried, sizeof tried);
  snprintf(text, size, "no member of the cluster could be found within %llu ms%s: %s",
           (unsigned long long)client->options.connect_timeout,
           cluster->is_choosing ? ", and none was chosen" : "", tried);
}

/* ---- Questions of the program ------------------------------------------------------------- */

typedef struct pump_census {
  struct pump_census *next;
  pump_client *client;
  pump_discovery *discovery;
  uint64_t started_ns;
  pump_result_cb cb;
  void *ud;
} pump_census;

static void answer_census(pump_census *census, pump_result *result) {
  result->current_version = PUMP_UNKNOWN;
  result->elapsed_ns = uv_hrtime() - census->started_ns;
  census->cb(census->client, result, census->ud);
  free(census);
}

/* Takes it out of the list and answers it. */
static void end_census(pump_census *census, pump_result *result) {
  pump_census **at = &census->client->cluster.censuses;
  while (*at != census)
    at = &(*at)->next;
  *at = census->next;
  census->client->cluster.census_count--;
  pump_discovery_close(census->discovery, nobody_waits, NULL);
  answer_census(census, result);
}

static bool on_members(void *ud, pump_bytes body, char *why, size_t size) {
  pump_members *members;
  if (pump_gossip_parse(&members, body, why, size) != 0) return false;
  end_census(ud, &(pump_result){.message = "", .members = members});
  pump_members_unref(members);
  return true;
}

static void on_no_members(void *ud) {
  pump_census *census = ud;
  char tried[500], message[600];
  pump_discovery_describe(census->discovery, tried, sizeof tried);
  snprintf(message, sizeof message, "nobody told who the members are: %s", tried);
  end_census(census,
             &(pump_result){.status = PUMP_EDISCOVERY, .message = message, .retryable = true});
}

static int start_census(pump_client *client, pump_discovery_options *options,
                        const pump_discovery_events *events, const pump_call *call,
                        pump_result_cb cb, void *ud) {
  uint64_t wait = call && call->timeout ? call->timeout : client->options.timeout;
  uint64_t now = pump_client_now();
  if (client->cluster.census_count >= MAX_CENSUSES) return PUMP_EBUSY;
  options->tls = tls_of(client);
  options->may_be_plain = may_be_plain(client);
  options->timeout = gossip_timeout(wait);
  options->deadline = wait < UINT64_MAX - now ? now + wait : UINT64_MAX;
  pump_census *census = calloc(1, sizeof *census);
  if (!census) return PUMP_ENOMEM;
  int code = pump_discovery_new(&census->discovery, client->loop, options, events, census);
  if (code != 0) {
    free(census);
    return code;
  }
  census->client = client;
  census->started_ns = uv_hrtime();
  census->cb = cb;
  census->ud = ud;
  census->next = client->cluster.censuses;
  client->cluster.censuses = census;
  client->cluster.census_count++;
  return 0;
}

int pump_client_members(pump_client *client, const pump_call *call, pump_result_cb cb, void *ud) {
  static const pump_discovery_events events = {on_members, on_no_members, NULL};
  pump_discovery_options options = {
      .seeds = client->options.seeds, .path = GOSSIP, .known = client->cluster.known};
  char own[300];
  if (client->is_closing) return PUMP_ECLOSED;
  if (!options.seeds && client->options.open) return PUMP_ENOTSUPPORTED;
  if (!options.seeds) {
    pump_address_write(own, sizeof own, client->options.host, HTTP_PORT);
    options.seeds = own;
  }
  return start_census(client, &options, &events, call, cb, ud);
}

/* ---- Which version ------------------------------------------------------------------------ */

/* The member that the client is connected to, where gossip has told of it. */
static const pump_member *own_member(const pump_client *client) {
  const pump_members *told = client->cluster.told;
  for (size_t i = 0; told && i < told->count; i++) {
    const pump_member *member = &told->members[i];
    if (member->tcp_host && pump_client_is_at(client, member->tcp_host, port_of(client, member)))
      return member;
  }
  return NULL;
}

const char *pump_client_server_version(const pump_client *client) {
  const pump_member *member = own_member(client);
  if (member && member->version) return member->version;
  return member && strcmp(client->cluster.version_of, client->endpoint) == 0
             ? client->cluster.version
             : NULL;
}

static bool on_info(void *ud, pump_bytes body, char *why, size_t size) {
  pump_census *census = ud;
  pump_client *client = census->client;
  pump_cluster *cluster = &client->cluster;
  char version[sizeof cluster->version];
  if (pump_info_parse(version, sizeof version, body, why, size) != 0) return false;
  memcpy(cluster->version, version, sizeof version);
  memcpy(cluster->version_of, client->endpoint, sizeof cluster->version_of);
  end_census(census, &(pump_result){.message = ""});
  return true;
}

int pump_client_ask_server_version(pump_client *client, const pump_call *call, pump_result_cb cb,
                                   void *ud) {
  static const pump_discovery_events events = {on_info, on_no_members, NULL};
  const pump_member *member = own_member(client);
  char seed[300];
  if (client->is_closing) return PUMP_ECLOSED;
  if (!member || !member->http_host) return PUMP_ENOTSUPPORTED;
  pump_address_write(seed, sizeof seed, member->http_host, member->http_port);
  pump_discovery_options options = {.seeds = seed, .path = "/info"};
  return start_census(client, &options, &events, call, cb, ud);
}

/* ---- Death -------------------------------------------------------------------------------- */

int pump_cluster_close(pump_client *client, void (*gone)(void *client)) {
  pump_cluster *cluster = &client->cluster;
  int parts = 0;
  if (cluster->discovery) {
    pump_discovery_close(cluster->discovery, gone, client);
    cluster->discovery = NULL;
    parts++;
  }
  for (pump_census *census = cluster->censuses; census; census = census->next, parts++)
    pump_discovery_close(census->discovery, gone, client);
  return parts;
}

void pump_cluster_free(pump_client *client) {
  pump_cluster *cluster = &client->cluster;
  pump_census *census;
  while ((census = cluster->censuses)) {
    cluster->censuses = census->next;
    answer_census(census, &(pump_result){.status = PUMP_ECLOSED,
                                         .message = pump_error_sentence(PUMP_ECLOSED)});
  }
  pump_members_unref(cluster->told);
  pump_members_unref(cluster->known);
}
