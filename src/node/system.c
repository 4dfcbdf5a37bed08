#include "node/system.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/json.h"

#define KNOWN "changeit"

#define USER_METADATA "{\"$acl\":{\"$w\":\"$admins\",\"$d\":\"$admins\",\"$mw\":\"$admins\"}}"

/* A user as they are to be. */
typedef struct user {
  const char *name;
  const char *password;
  const char *full_name;
  const char *groups; /* as in pump_account */
  bool is_given;      /* by the options */
} user;

typedef struct beginning {
  pump_accounts *accounts;
  pump_like like;
  int64_t now;
  int code;
} beginning;

/* ---- Events ------------------------------------------------------------------------------- */

int pump_system_write(pump_store *store, const char *before, const char *name, const char *type,
                      pump_bytes data, bool is_json, int64_t now, int64_t *number) {
  pump_store_written written = {.first = -1};
  pump_buffer stream;
  pump_new_event event = {.type = pump_bytes_of(type), .data = data, .is_json = is_json};
  pump_store_make_id(&event.id);
  pump_buffer_init(&stream);
  pump_buffer_text(&stream, before);
  pump_buffer_text(&stream, name);
  pump_bytes text = {(const char *)stream.data, stream.size};
  int code = stream.failed ? PUMP_ENOMEM
                           : pump_store_append(store, text, PUMP_ANY, &event, 1, now, &written);
  pump_buffer_free(&stream);
  if (number) *number = written.first;
  return code;
}

static void write(beginning *at, const char *before, const char *name, const char *type,
                  pump_bytes data, bool is_json) {
  if (at->code == 0)
    at->code =
        pump_system_write(at->accounts->store, before, name, type, data, is_json, at->now, NULL);
}

static void write_metadata(beginning *at, const char *stream, const char *metadata) {
  write(at, "$$", stream, "$metadata", pump_bytes_of(metadata), true);
}

static void write_user_metadata(beginning *at, const user *who) {
  write(at, "$$$user-", who->name, "$metadata", pump_bytes_of(USER_METADATA), true);
}

static void put_groups(pump_buffer *out, const char *groups) {
  pump_buffer_text(out, "  \"groups\": [");
  for (const char *at = groups; *at; at += strlen(at) + 1) {
    pump_buffer_text(out, at == groups ? "\n    " : ",\n    ");
    pump_json_write_string(out, pump_bytes_of(at));
  }
  pump_buffer_text(out, *groups ? "\n  ]\n}" : "]\n}");
}

static void put_bytes(pump_buffer *out, const char *name, const uint8_t *bytes, size_t size) {
  pump_buffer_printf(out, "  \"%s\": \"", name);
  pump_base64_write(out, bytes, size);
  pump_buffer_text(out, "\",\n");
}

static void write_user(beginning *at, const user *who, const char *type) {
  uint8_t salt[PUMP_SALT_SIZE], hash[PUMP_HASH_SIZE];
  pump_buffer data;
  sqlite3_randomness(sizeof salt, salt);
  pump_password_hash(hash, pump_bytes_of(who->password), salt);
  pump_buffer_init(&data);
  pump_buffer_text(&data, "{\n  \"loginName\": ");
  if (pump_json_write_string(&data, pump_bytes_of(who->name)) != 0) at->code = PUMP_EINVALID;
  pump_buffer_text(&data, ",\n  \"fullName\": ");
  pump_json_write_string(&data, pump_bytes_of(who->full_name));
  pump_buffer_text(&data, ",\n");
  put_bytes(&data, "salt", salt, sizeof salt);
  put_bytes(&data, "hash", hash, sizeof hash);
  put_groups(&data, who->groups);
  if (data.failed && at->code == 0) at->code = PUMP_ENOMEM;
  write(at, "$user-", who->name, type, (pump_bytes){(char *)data.data, data.size}, true);
  pump_buffer_free(&data);
}

static void list_user(beginning *at, const user *who) {
  write(at, "$users", "", "$User", pump_bytes_of(who->name), false);
}

/* ---- Who there is to be ------------------------------------------------------------------- */

static user *find_user(user *users, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(users[i].name, name) == 0) return &users[i];
  }
  return NULL;
}

/* admin, ops and those of the options, to be freed. */
static int list_users(user **out, size_t *count, const pump_node_options *options) {
  user *users = calloc(options->user_count + 2, sizeof *users);
  *out = users;
  *count = 2;
  if (!users) return PUMP_ENOMEM;
  users[0] = (user){"admin", KNOWN, "Event Store Administrator", PUMP_ADMINS "\0", false};
  users[1] = (user){"ops", KNOWN, "Event Store Operations", PUMP_OPS "\0", false};
  for (size_t i = 0; i < options->user_count; i++) {
    const pump_node_user *given = &options->users[i];
    user *to = find_user(users, *count, given->name);
    if (!to) {
      to = &users[(*count)++];
      *to = (user){.name = given->name, .full_name = given->name, .groups = ""};
    }
    to->password = given->password;
    to->is_given = true;
  }
  return 0;
}

/* ---- Beginnings --------------------------------------------------------------------------- */

static void write_statistics(beginning *at) {
  write_metadata(at, "$stats-127.0.0.1:2113", "{\"$maxAge\":864000}");
}

/* ops comes first where older servers have it last. */
static const user *user_at(const beginning *at, const user *users, size_t i) {
  return &users[at->like == PUMP_LIKE_23 && i < 2 ? 1 - i : i];
}

/* In the order in which they were seen to do it. */
static void begin_new(beginning *at, const user *users, size_t count) {
  pump_store_written written;
  /* The first place in $all is that of a server's epoch, which nobody sees. */
  at->code = pump_store_append(at->accounts->store, pump_bytes_of("$users"), PUMP_ANY, NULL, 0,
                               at->now, &written);
  if (at->like == PUMP_LIKE_5) write_statistics(at);
  for (size_t i = 0; i < count; i++) {
    write_user_metadata(at, &users[i]);
    if (i == 0 && at->like == PUMP_LIKE_4) write_statistics(at);
  }
  if (at->like != PUMP_LIKE_4) write_metadata(at, "$scavenges", PUMP_SCAVENGES_METADATA);
  for (size_t i = 0; i < count; i++)
    write_user(at, user_at(at, users, i), "$UserCreated");
  for (size_t i = 0; i < count; i++)
    list_user(at, user_at(at, users, i));
  if (at->like == PUMP_LIKE_4) write_metadata(at, "$scavenges", PUMP_SCAVENGES_METADATA);
}

/* Who was given has to be able to come in. */
static void begin_again(beginning *at, const user *who) {
  const pump_account *account = pump_accounts_look(at->accounts, pump_bytes_of(who->name));
  if (!who->is_given ||
      pump_accounts_find(at->accounts, pump_bytes_of(who->name), pump_bytes_of(who->password)))
    return;
  user changed = *who;
  if (account) {
    if (account->full_name) changed.full_name = account->full_name;
    changed.groups = account->groups;
    write_user(at, &changed, account->is_there ? "$PasswordChanged" : "$UserUpdated");
  } else {
    write_user_metadata(at, who);
    write_user(at, who, "$UserCreated");
    list_user(at, who);
  }
}

int pump_system_begin(pump_accounts *accounts, const pump_node_options *options, pump_like like,
                      int64_t now) {
  beginning at = {.accounts = accounts, .like = like, .now = now};
  user *users;
  size_t count;
  at.code = list_users(&users, &count, options);
  bool is_new = pump_store_end_position(accounts->store) == 0;
  if (at.code == 0 && is_new) begin_new(&at, users, count);
  for (size_t i = 0; at.code == 0 && !is_new && i < count; i++)
    begin_again(&at, &users[i]);
  if (at.code == 0) at.code = pump_store_commit(accounts->store);
  for (size_t i = 0; at.code == 0 && is_new && i < count; i++)
    pump_accounts_know(accounts, pump_bytes_of(users[i].name), users[i].password);
  free(users);
  return at.code;
}

bool pump_system_is_open(pump_accounts *accounts, const pump_node_options *options) {
  bool is_open = pump_accounts_find(accounts, pump_bytes_of("admin"), pump_bytes_of(KNOWN)) ||
                 pump_accounts_find(accounts, pump_bytes_of("ops"), pump_bytes_of(KNOWN));
  for (size_t i = 0; i < options->user_count && !is_open; i++)
    is_open = strcmp(options->users[i].password, KNOWN) == 0;
  return is_open;
}
