#include "node/accounts.h"

#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/json.h"

/* Longer names nobody has. */
#define MAX_NAME 1000

const pump_account pump_account_owner = {.groups = (char[]){PUMP_ADMINS "\0"}};

/* ---- Groups ------------------------------------------------------------------------------- */

bool pump_account_is_of(const pump_account *who, pump_bytes group) {
  for (const char *at = who ? who->groups : NULL; at && *at; at += strlen(at) + 1) {
    if (pump_bytes_is(group, at)) return true;
  }
  return false;
}

bool pump_account_is_admin(const pump_account *who) {
  return pump_account_is_of(who, pump_bytes_of(PUMP_ADMINS));
}

bool pump_account_may_operate(const pump_account *who) {
  return pump_account_is_admin(who) || pump_account_is_of(who, pump_bytes_of(PUMP_OPS));
}

/* ---- Passwords ---------------------------------------------------------------------------- */

static void forget_password(pump_account *account) {
  if (account->password) explicit_bzero(account->password, strlen(account->password));
  free(account->password);
  account->password = NULL;
}

/* Takes as long for one that is nearly right as for one that is all wrong. */
static bool is_same(const uint8_t *a, const uint8_t *b, size_t size) {
  uint8_t difference = 0;
  for (size_t i = 0; i < size; i++)
    difference |= a[i] ^ b[i];
  return difference == 0;
}

/* Hashing is slow on purpose, so it is done until the right password has been heard, and from
 * then on what is said is held against that one. */
static bool is_password(pump_account *account, pump_bytes given) {
  uint8_t hash[PUMP_HASH_SIZE];
  if (account->password) {
    size_t size = strlen(account->password);
    return size == given.size &&
           is_same((const uint8_t *)account->password, (const uint8_t *)given.data, size);
  }
  pump_password_hash(hash, given, account->salt);
  if (!is_same(hash, account->hash, sizeof hash)) return false;
  if (given.size > 0 && !memchr(given.data, 0, given.size))
    account->password = strndup(given.data, given.size);
  return true;
}

/* ---- Reading a user ----------------------------------------------------------------------- */

/* What an event says of a user. */
typedef struct details {
  pump_buffer scratch;
  pump_buffer full_name;
  pump_buffer groups;
  uint8_t salt[PUMP_SALT_SIZE];
  uint8_t hash[PUMP_HASH_SIZE];
  bool has_salt, has_hash;
  bool is_disabled;
  bool is_good;
} details;

static bool take_bytes(details *to, const pump_json_reader *reader, uint8_t *bytes, size_t size) {
  pump_bytes text;
  return pump_json_string(reader, &to->scratch, &text) == 0 &&
         pump_base64_read(bytes, size, text) == (ptrdiff_t)size;
}

static bool take_text(details *to, const pump_json_reader *reader, pump_buffer *out) {
  pump_bytes text;
  if (pump_json_string(reader, &to->scratch, &text) != 0) return false;
  if (memchr(text.data, 0, text.size)) return false;
  pump_buffer_append(out, text.data, text.size);
  pump_buffer_byte(out, 0);
  return true;
}

static bool take_groups(details *to, pump_json_reader *reader) {
  int token;
  while ((token = pump_json_next(reader)) == PUMP_JSON_STRING) {
    if (reader->string.size > 0 && !take_text(to, reader, &to->groups)) return false;
  }
  return token == PUMP_JSON_ARRAY_END;
}

static bool take_field(details *to, pump_json_reader *reader, pump_bytes name) {
  int token = pump_json_next(reader);
  if (token == PUMP_JSON_STRING && pump_bytes_is(name, "salt"))
    return to->has_salt = take_bytes(to, reader, to->salt, sizeof to->salt);
  if (token == PUMP_JSON_STRING && pump_bytes_is(name, "hash"))
    return to->has_hash = take_bytes(to, reader, to->hash, sizeof to->hash);
  if (token == PUMP_JSON_STRING && pump_bytes_is(name, "fullName")) {
    pump_buffer_clear(&to->full_name);
    return take_text(to, reader, &to->full_name);
  }
  if (token == PUMP_JSON_ARRAY && pump_bytes_is(name, "groups")) {
    pump_buffer_clear(&to->groups);
    return take_groups(to, reader);
  }
  if (pump_bytes_is(name, "disabled")) to->is_disabled = token == PUMP_JSON_TRUE;
  return pump_json_skip(reader, token) == 0;
}

static bool on_user(void *ud, const pump_event *event) {
  details *to = ud;
  pump_json_reader reader;
  pump_json_reader_init(&reader, event->record->data);
  int token = pump_json_next(&reader);
  bool is_good = token == PUMP_JSON_OBJECT;
  while (is_good && (token = pump_json_next(&reader)) == PUMP_JSON_KEY)
    is_good = take_field(to, &reader, reader.string);
  pump_buffer_byte(&to->groups, 0);
  to->is_good = is_good && token == PUMP_JSON_OBJECT_END &&
                pump_json_next(&reader) == PUMP_JSON_END && to->has_salt && to->has_hash &&
                !to->groups.failed && !to->full_name.failed;
  return true;
}

static void free_details(details *of) {
  pump_buffer_free(&of->scratch);
  pump_buffer_free(&of->full_name);
  pump_buffer_free(&of->groups);
}

/* Finds nothing where there is no such user. */
static int read_user(pump_store *store, pump_bytes name, details *to) {
  pump_buffer stream;
  pump_store_result result;
  pump_buffer_init(&stream);
  pump_buffer_text(&stream, "$user-");
  pump_buffer_append(&stream, name.data, name.size);
  pump_bytes text = {(const char *)stream.data, stream.size};
  int code = stream.failed
                 ? PUMP_ENOMEM
                 : pump_store_read_event(store, text, PUMP_END, false, 0, on_user, to, &result);
  pump_buffer_free(&stream);
  return code;
}

static void replace(char **text, pump_buffer *by) {
  free(*text);
  *text = (char *)by->data;
  *by = (pump_buffer){0};
}

static void update(pump_account *account, details *to) {
  account->is_there = to->is_good && !to->is_disabled;
  if (!to->is_good) return;
  if (!is_same(account->hash, to->hash, sizeof to->hash) ||
      !is_same(account->salt, to->salt, sizeof to->salt))
    forget_password(account);
  memcpy(account->salt, to->salt, sizeof to->salt);
  memcpy(account->hash, to->hash, sizeof to->hash);
  replace(&account->groups, &to->groups);
  if (to->full_name.size > 0) replace(&account->full_name, &to->full_name);
}

/* ---- All of them -------------------------------------------------------------------------- */

static void free_account(pump_account *account) {
  forget_password(account);
  free(account->name);
  free(account->full_name);
  free(account->groups);
  free(account);
}

void pump_accounts_free(pump_accounts *accounts) {
  for (pump_account *account = accounts->list, *next; account; account = next) {
    next = account->next;
    free_account(account);
  }
  accounts->list = NULL;
  pump_table_free(&accounts->by_name);
}

static uint64_t hash_of(pump_bytes name) {
  return pump_table_hash(0, name.data, name.size);
}

static pump_account *find(const pump_accounts *accounts, pump_bytes name) {
  pump_table_link *link = pump_table_first(&accounts->by_name, hash_of(name));
  for (; link; link = pump_table_next(link)) {
    pump_account *found = (pump_account *)(void *)link;
    if (pump_bytes_is(name, found->name)) return found;
  }
  return NULL;
}

/* Only of users that are there, so a stranger can't make the list grow. */
static pump_account *add(pump_accounts *accounts, pump_bytes name) {
  pump_account *account = calloc(1, sizeof *account);
  if (!account) return NULL;
  account->by_name.hash = hash_of(name);
  account->name = strndup(name.data, name.size);
  if (!account->name || pump_table_add(&accounts->by_name, &account->by_name) != 0) {
    free(account->name);
    free(account);
    return NULL;
  }
  account->next = accounts->list;
  accounts->list = account;
  return account;
}

static pump_account *look(pump_accounts *accounts, pump_bytes name) {
  int64_t end = pump_store_end_position(accounts->store);
  if (name.size == 0 || name.size > MAX_NAME || memchr(name.data, 0, name.size)) return NULL;
  pump_account *account = find(accounts, name);
  if (account && account->read_at == end) return account;
  details of = {0};
  int code = read_user(accounts->store, name, &of);
  if (code == 0 && !account && of.is_good) account = add(accounts, name);
  if (code == 0 && account) {
    update(account, &of);
    account->read_at = end;
  }
  free_details(&of);
  return code == 0 ? account : NULL; /* who can't be read can't come in now */
}

const pump_account *pump_accounts_look(pump_accounts *accounts, pump_bytes name) {
  return look(accounts, name);
}

void pump_accounts_know(pump_accounts *accounts, pump_bytes name, const char *password) {
  pump_account *account = look(accounts, name);
  if (!account || account->password || !*password) return;
  account->password = strdup(password);
}

const pump_account *pump_accounts_find(pump_accounts *accounts, pump_bytes name,
                                       pump_bytes password) {
  pump_account *account = look(accounts, name);
  return account && account->is_there && is_password(account, password) ? account : NULL;
}
