#include "conversation/gossip.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/json.h"

#define MAX_TEXT ((size_t)255)

/* ---- States ------------------------------------------------------------------------------- */

typedef enum kind { NOT_READY, LEADER, FOLLOWER, REPLICA, RESIGNING, LEADERLESS, OTHER } kind;

static const struct {
  const char *name;
  kind kind;
} states[] = {
    {"Leader", LEADER},
    {"Master", LEADER},
    {"Follower", FOLLOWER},
    {"Slave", FOLLOWER},
    {"ReadOnlyReplica", REPLICA},
    {"ReadOnlyLeaderless", LEADERLESS},
    {"ResigningLeader", RESIGNING},
    {"Initializing", NOT_READY},
    {"DiscoverLeader", NOT_READY},
    {"Unknown", NOT_READY},
    {"PreReplica", NOT_READY},
    {"PreReadOnlyReplica", NOT_READY},
    {"CatchingUp", NOT_READY},
    {"Clone", NOT_READY},
    {"PreLeader", NOT_READY},
    {"PreMaster", NOT_READY},
    {"Manager", NOT_READY},
    {"ShuttingDown", NOT_READY},
    {"Shutdown", NOT_READY},
};

static kind kind_of(const pump_member *member) {
  for (size_t i = 0; member->state && i < sizeof states / sizeof *states; i++)
    if (strcmp(states[i].name, member->state) == 0) return states[i].kind;
  return OTHER;
}

/* ---- Choosing ----------------------------------------------------------------------------- */

bool pump_gossip_is_usable(const pump_member *member, bool is_secure, const char **why) {
  int port = is_secure ? member->secure_tcp_port : member->tcp_port;
  int other = is_secure ? member->tcp_port : member->secure_tcp_port;
  if (!member->is_alive)
    *why = "is not alive";
  else if (kind_of(member) == NOT_READY)
    *why = "is not ready";
  else if (member->tcp_host && port > 0)
    return true;
  else if (member->tcp_host && other > 0)
    *why = is_secure ? "has no TCP port for TLS" : "has a TCP port for TLS only";
  else
    *why = "has no TCP address";
  return false;
}

/* The smaller the better. */
static int rank(kind which, int selector) {
  static const kind leader_first[] = {LEADER, FOLLOWER, REPLICA, RESIGNING, LEADERLESS, OTHER};
  static const kind follower_first[] = {FOLLOWER, REPLICA, LEADER, LEADERLESS, RESIGNING, OTHER};
  if (selector == PUMP_SELECT_RANDOM) return which == OTHER;
  const kind *order = selector == PUMP_SELECT_FOLLOWER ? follower_first : leader_first;
  int at = 0;
  while (order[at] != which)
    at++;
  return at;
}

/* Below zero: a is better. Of two who say that they lead, one has not heard yet that the other was
 * elected since. */
static int compare(const pump_member *a, const pump_member *b, int selector) {
  int difference = rank(kind_of(a), selector) - rank(kind_of(b), selector);
  bool both_lead = kind_of(a) == LEADER && kind_of(b) == LEADER;
  if (difference != 0 || !both_lead || a->epoch_number == b->epoch_number) return difference;
  return a->epoch_number > b->epoch_number ? -1 : 1;
}

int pump_gossip_choose(const pump_members *members, const pump_gossip_choice *choice) {
  int best[PUMP_MAX_MEMBERS];
  uint32_t count = 0;
  const char *why;
  for (size_t i = 0; i < members->count && i < PUMP_MAX_MEMBERS; i++) {
    const pump_member *member = &members->members[i];
    if (choice->refused >> i & 1 || !pump_gossip_is_usable(member, choice->is_secure, &why))
      continue;
    if (choice->leader_only && choice->selector == PUMP_SELECT_LEADER && kind_of(member) != LEADER)
      continue;
    int order = count == 0 ? 0 : compare(member, &members->members[best[0]], choice->selector);
    if (order < 0) count = 0;
    if (order <= 0) best[count++] = (int)i;
  }
  return count == 0 ? -1 : best[choice->random % count];
}

/* ---- Members in memory -------------------------------------------------------------------- */

/* One allocation: the members, and behind them their texts, which are never longer than the JSON
 * that they come from. */
typedef struct gossip {
  pump_members shown; /* its first member */
  size_t references;
  pump_member members[PUMP_MAX_MEMBERS];
  char texts[];
} gossip;

pump_members *pump_members_ref(pump_members *members) {
  ((gossip *)(void *)members)->references++;
  return members;
}

void pump_members_unref(pump_members *members) {
  gossip *self = (gossip *)(void *)members;
  if (self && --self->references == 0) free(self);
}

/* ---- Reading ------------------------------------------------------------------------------ */

typedef enum field_kind { TEXT, HOST, PORT, INTEGER, BOOLEAN } field_kind;

typedef struct field {
  const char *name;
  field_kind kind;
  size_t offset;
} field;

#define FIELD(name, kind, member)                                                                  \
  { name, kind, offsetof(pump_member, member) }
static const field fields[] = {
    FIELD("instanceId", TEXT, instance_id),
    FIELD("state", TEXT, state),
    FIELD("isAlive", BOOLEAN, is_alive),
    FIELD("externalTcpIp", HOST, tcp_host),
    FIELD("externalTcpPort", PORT, tcp_port),
    FIELD("externalSecureTcpPort", PORT, secure_tcp_port),
    FIELD("externalHttpIp", HOST, http_host),
    FIELD("externalHttpPort", PORT, http_port),
    FIELD("httpEndPointIp", HOST, http_host),
    FIELD("httpEndPointPort", PORT, http_port),
    FIELD("lastCommitPosition", INTEGER, last_commit_position),
    FIELD("writerCheckpoint", INTEGER, writer_checkpoint),
    FIELD("chaserCheckpoint", INTEGER, chaser_checkpoint),
    FIELD("epochPosition", INTEGER, epoch_position),
    FIELD("epochNumber", INTEGER, epoch_number),
    FIELD("nodePriority", INTEGER, node_priority),
    FIELD("isReadOnlyReplica", BOOLEAN, is_read_only_replica),
    FIELD("esVersion", TEXT, version),
};

typedef struct reading {
  pump_json_reader json;
  gossip *gossip;
  char *text; /* where the next one goes */
  char *error;
  size_t error_size;
} reading;

static int wrong(reading *it, const field *which, const char *what) {
  snprintf(it->error, it->error_size, "members[%zu].%s %s", it->gossip->shown.count, which->name,
           what);
  return PUMP_EPROTOCOL;
}

/* The next token that something may start with; what is no JSON is noted. */
static int next(reading *it) {
  int token = pump_json_next(&it->json);
  if (token >= 0) return token;
  snprintf(it->error, it->error_size, "%s at byte %zu", it->json.message, it->json.offset + 1);
  return PUMP_EPROTOCOL;
}

static int skip(reading *it, int token) {
  if (pump_json_skip(&it->json, token) == 0) return 0;
  snprintf(it->error, it->error_size, "%s at byte %zu", it->json.message, it->json.offset + 1);
  return PUMP_EPROTOCOL;
}

static bool is_plain(const char *text) {
  for (const char *at = text; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7f) return false;
  return true;
}

static int read_text(reading *it, const field *which, const char **to) {
  char *text = it->text;
  size_t size = pump_json_unescape(it->json.string, text);
  text[size] = '\0';
  if (size > MAX_TEXT || strlen(text) != size || !is_plain(text))
    return wrong(it, which, "is no text that makes sense");
  if (which->kind == HOST && !pump_bytes_are_host(pump_bytes_of(text)))
    return wrong(it, which, "is no address");
  it->text += size + 1; /* the quotes had more room */
  *to = text;
  return 0;
}

static int read_field(reading *it, const field *which, int token) {
  char *to = (char *)&it->gossip->members[it->gossip->shown.count] + which->offset;
  void *place = to;
  int64_t number = it->json.integer;
  switch (which->kind) {
  case TEXT:
  case HOST:
    if (token != PUMP_JSON_STRING) return wrong(it, which, "is no string");
    return read_text(it, which, place);
  case PORT:
    if (token != PUMP_JSON_INTEGER || number < 0 || number > 65535)
      return wrong(it, which, "is no port");
    *(int *)place = (int)number;
    return 0;
  case INTEGER:
    if (token != PUMP_JSON_INTEGER) return wrong(it, which, "is no whole number");
    *(int64_t *)place = number;
    return 0;
  case BOOLEAN:
    if (token != PUMP_JSON_TRUE && token != PUMP_JSON_FALSE)
      return wrong(it, which, "is neither true nor false");
    *(bool *)place = token == PUMP_JSON_TRUE;
  }
  return 0;
}

/* The field of a key. Keys with escapes in them are nobody's. */
static const field *find_field(pump_bytes key) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (pump_bytes_is(key, fields[i].name)) return &fields[i];
  return NULL;
}

static int read_member(reading *it) {
  int token;
  while ((token = next(it)) == PUMP_JSON_KEY) {
    const field *which = find_field(it->json.string);
    if ((token = next(it)) < 0) return token;
    int code = !which || token == PUMP_JSON_NULL ? skip(it, token) : read_field(it, which, token);
    if (code != 0) return code;
  }
  if (token < 0) return token;
  pump_member *member = &it->gossip->members[it->gossip->shown.count++];
  member->is_leader = member->is_alive && kind_of(member) == LEADER;
  return 0;
}

static int read_members(reading *it) {
  size_t *count = &it->gossip->shown.count;
  int token;
  while ((token = next(it)) == PUMP_JSON_OBJECT && *count < PUMP_MAX_MEMBERS) {
    int code = read_member(it);
    if (code != 0) return code;
  }
  if (token < 0 || token == PUMP_JSON_ARRAY_END) return token < 0 ? token : 0;
  if (token == PUMP_JSON_OBJECT)
    snprintf(it->error, it->error_size, "more than %d members", PUMP_MAX_MEMBERS);
  else
    snprintf(it->error, it->error_size, "members[%zu] is no object", *count);
  return PUMP_EPROTOCOL;
}

static int read_gossip(reading *it) {
  bool found = false;
  int token = next(it);
  while (token == PUMP_JSON_OBJECT || token == PUMP_JSON_KEY) {
    if ((token = next(it)) != PUMP_JSON_KEY) break;
    bool is_members = !found && pump_bytes_is(it->json.string, "members");
    int value = next(it);
    if (value < 0) return value;
    found = found || (is_members && value == PUMP_JSON_ARRAY);
    int code = found && is_members ? read_members(it) : skip(it, value);
    if (code != 0) return code;
  }
  if (token >= 0 && found) token = next(it);
  if (token < 0 || found) return token < 0 ? token : 0;
  snprintf(it->error, it->error_size, "no object with members in it");
  return PUMP_EPROTOCOL;
}

int pump_gossip_parse(pump_members **members, pump_bytes text, char *error, size_t error_size) {
  *members = NULL;
  reading it = {.error = error, .error_size = error_size};
  it.gossip = calloc(1, sizeof *it.gossip + text.size + 1);
  if (!it.gossip) {
    snprintf(error, error_size, "%s", pump_error_sentence(PUMP_ENOMEM));
    return PUMP_ENOMEM;
  }
  it.gossip->shown.members = it.gossip->members;
  it.gossip->references = 1;
  it.text = it.gossip->texts;
  pump_json_reader_init(&it.json, text);
  int code = read_gossip(&it);
  if (code == 0)
    *members = &it.gossip->shown;
  else
    free(it.gossip);
  return code;
}

/* ---- The version -------------------------------------------------------------------------- */

/* Of the key "esVersion", whose value comes next. */
static int read_version(reading *it, char *version, size_t size) {
  int token = next(it);
  if (token < 0) return token;
  if (token != PUMP_JSON_STRING || it->json.string.size >= size) {
    snprintf(it->error, it->error_size, "esVersion is no version");
    return PUMP_EPROTOCOL;
  }
  version[pump_json_unescape(it->json.string, version)] = '\0';
  return 0;
}

int pump_info_parse(char *version, size_t version_size, pump_bytes text, char *error,
                    size_t error_size) {
  reading it = {.error = error, .error_size = error_size};
  *version = '\0';
  pump_json_reader_init(&it.json, text);
  int token = next(&it), code = 0;
  if (token == PUMP_JSON_OBJECT) {
    while (code == 0 && (token = next(&it)) == PUMP_JSON_KEY) {
      if (pump_bytes_is(it.json.string, "esVersion"))
        code = read_version(&it, version, version_size);
      else
        code = (token = next(&it)) < 0 ? token : skip(&it, token);
    }
  }
  if (code == 0 && token == PUMP_JSON_OBJECT_END) token = next(&it);
  if (code != 0 || token < 0) return code != 0 ? code : token;
  if (*version && is_plain(version)) return 0;
  snprintf(error, error_size, "no object with esVersion in it");
  return PUMP_EPROTOCOL;
}
