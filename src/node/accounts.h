/* Who may come in, and what groups they are of: the users that the store keeps, as a server does,
 * one in each stream "$user-NAME", whose last event counts. Whoever may write there makes users,
 * gives them other passwords, disables them. What was read is kept here until the store goes on. */
#ifndef PUMP_NODE_ACCOUNTS_H
#define PUMP_NODE_ACCOUNTS_H

#include <pump.h>
#include "node/password.h"
#include "node/store.h"
#include "node/table.h"

#define PUMP_ADMINS "$admins"
#define PUMP_OPS    "$ops"

/* Lives as long as the node, whatever becomes of the user. */
typedef struct pump_account {
  pump_table_link by_name; /* first */
  struct pump_account *next;
  char *name;
  char *full_name;
  char *groups;   /* each with its NUL, and another behind the last */
  char *password; /* the one that has been heard and is right; NULL: it was not said yet */
  uint8_t salt[PUMP_SALT_SIZE];
  uint8_t hash[PUMP_HASH_SIZE];
  int64_t read_at; /* where the store ended when this was read */
  bool is_there;   /* and not disabled */
} pump_account;

typedef struct pump_accounts {
  pump_store *store;
  pump_account *list;
  pump_table by_name;
} pump_accounts;

/* Who acts as admin without a password: connections of the process that owns the node. */
extern const pump_account pump_account_owner;

void pump_accounts_free(pump_accounts *accounts);
/* NULL: no such user, or not their password. Between transactions: it reads. */
const pump_account *pump_accounts_find(pump_accounts *accounts, pump_bytes name,
                                       pump_bytes password);
/* The user whatever their password and whether they may come in; NULL: there is none. */
const pump_account *pump_accounts_look(pump_accounts *accounts, pump_bytes name);

/* Spares the first who comes in with it the time to find out that it is right. */
void pump_accounts_know(pump_accounts *accounts, pump_bytes name, const char *password);

/* NULL, who is anonymous, is of no group. */
bool pump_account_is_of(const pump_account *who, pump_bytes group);
bool pump_account_is_admin(const pump_account *who);
/* One of $admins or $ops. */
bool pump_account_may_operate(const pump_account *who);

#endif
