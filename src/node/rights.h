/* Who somebody is and what that allows: accounts, and rights. A stream's $acl names users and
 * groups ($admins, $ops, $all); where it does not, the stream $settings may say it for all streams;
 * else everything is everybody's, but system streams ("$…") and $all are the admins'. */
#ifndef PUMP_NODE_RIGHTS_H
#define PUMP_NODE_RIGHTS_H

#include <pump.h>
#include "node/store.h"
#include "pump_node.h"

typedef struct pump_account {
  char *name;
  char *password;
  const char *group; /* "$admins", "$ops", or "" */
} pump_account;

typedef struct pump_accounts {
  pump_account *list;
  size_t count;
} pump_accounts;

/* admin and ops with the password that every new server has, and the users beside or instead of
 * them. PUMP_ENOMEM, PUMP_EINVALID: a user without name or password. */
int pump_accounts_init(pump_accounts *accounts, const pump_node_user *users, size_t count);
void pump_accounts_free(pump_accounts *accounts);
/* Whether admin or ops still has the password that everybody knows. */
bool pump_accounts_are_known(const pump_accounts *accounts);
/* NULL: no such name, or not its password. */
const pump_account *pump_accounts_find(const pump_accounts *accounts, pump_bytes name,
                                       pump_bytes password);
/* Who acts as admin without a password: connections of the process that owns the node. */
extern const pump_account pump_account_owner;

bool pump_account_is_admin(const pump_account *who); /* NULL: no */

/* One of $admins or $ops. */
bool pump_account_may_operate(const pump_account *who); /* NULL: no */

/* Whether the stream's $acl, or without one the default, lets them. who NULL: anonymous. right is
 * to read, write or delete; what it means for a metastream is the stream's to say. */
bool pump_rights_allow(pump_store *store, const pump_account *who, pump_bytes stream,
                       pump_store_right right);

#endif
