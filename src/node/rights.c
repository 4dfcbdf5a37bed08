#include "node/rights.h"

#include <stdlib.h>
#include <string.h>
#include "base/bytes.h"

#define ADMINS "$admins"
#define KNOWN  "changeit"

const pump_account pump_account_owner = {.group = ADMINS};

static void forget(char *password) {
  explicit_bzero(password, strlen(password));
  free(password);
}

void pump_accounts_free(pump_accounts *accounts) {
  for (size_t i = 0; i < accounts->count; i++) {
    free(accounts->list[i].name);
    forget(accounts->list[i].password);
  }
  free(accounts->list);
  *accounts = (pump_accounts){0};
}

static int set_account(pump_accounts *accounts, const char *name, const char *password) {
  if (!name || !*name || !password) return PUMP_EINVALID;
  char *copy = strdup(password);
  if (!copy) return PUMP_ENOMEM;
  for (size_t i = 0; i < accounts->count; i++) {
    if (strcmp(accounts->list[i].name, name) != 0) continue;
    forget(accounts->list[i].password);
    accounts->list[i].password = copy;
    return 0;
  }
  pump_account *account = &accounts->list[accounts->count];
  const char *group = strcmp(name, "admin") == 0 ? ADMINS : strcmp(name, "ops") == 0 ? "$ops" : "";
  *account = (pump_account){strdup(name), copy, group};
  accounts->count++; /* from here on freed with the rest */
  return account->name ? 0 : PUMP_ENOMEM;
}

int pump_accounts_init(pump_accounts *accounts, const pump_node_user *users, size_t count) {
  *accounts = (pump_accounts){.list = calloc(count + 2, sizeof *accounts->list)};
  if (!accounts->list) return PUMP_ENOMEM;
  int code = set_account(accounts, "admin", KNOWN);
  if (code == 0) code = set_account(accounts, "ops", KNOWN);
  for (size_t i = 0; code == 0 && i < count; i++)
    code = set_account(accounts, users[i].name, users[i].password);
  if (code != 0) pump_accounts_free(accounts);
  return code;
}

bool pump_accounts_are_known(const pump_accounts *accounts) {
  for (size_t i = 0; i < accounts->count; i++) {
    if (strcmp(accounts->list[i].password, KNOWN) == 0) return true;
  }
  return false;
}

/* Takes as long for a password that is nearly right as for one that is all wrong. */
static bool is_password(const char *password, pump_bytes given) {
  size_t size = strlen(password);
  unsigned char difference = size == given.size ? 0 : 1;
  for (size_t i = 0; i < given.size; i++)
    difference |= (unsigned char)(given.data[i] ^ password[size ? i % size : 0]);
  return difference == 0;
}

const pump_account *pump_accounts_find(const pump_accounts *accounts, pump_bytes name,
                                       pump_bytes password) {
  for (size_t i = 0; i < accounts->count; i++) {
    const pump_account *account = &accounts->list[i];
    if (pump_bytes_is(name, account->name))
      return is_password(account->password, password) ? account : NULL;
  }
  return NULL;
}

/* ---- Rights ------------------------------------------------------------------------------- */

typedef struct roll_call {
  const pump_account *who;
  bool is_called;
} roll_call;

static void on_role(void *ud, pump_bytes name) {
  roll_call *call = ud;
  if (pump_bytes_is(name, "$all")) call->is_called = true;
  if (!call->who || name.size == 0) return;
  if (pump_bytes_is(name, call->who->name) || pump_bytes_is(name, call->who->group))
    call->is_called = true;
}

bool pump_account_is_admin(const pump_account *who) {
  return who && strcmp(who->group, ADMINS) == 0;
}

bool pump_account_may_operate(const pump_account *who) {
  return pump_account_is_admin(who) || (who && strcmp(who->group, "$ops") == 0);
}

bool pump_rights_allow(pump_store *store, const pump_account *who, pump_bytes stream,
                       pump_store_right right) {
  /* Nobody writes to $all: it is what was written elsewhere. */
  if (right != PUMP_STORE_READ && pump_bytes_is(stream, "$all")) return false;
  if (pump_account_is_admin(who)) return true;
  pump_bytes of = stream;
  if (pump_store_is_metastream(stream, &of))
    right = right == PUMP_STORE_READ ? PUMP_STORE_READ_METADATA : PUMP_STORE_WRITE_METADATA;
  roll_call call = {.who = who};
  bool is_set;
  bool is_system = pump_bytes_starts(of, "$");
  int code = pump_store_roles(store, of, right, on_role, &call, &is_set);
  if (code == 0 && !is_set)
    code = pump_store_default_roles(store, is_system, right, on_role, &call, &is_set);
  if (code != 0) return false;
  return is_set ? call.is_called : !is_system;
}
