/* Who somebody is and what that allows: accounts, and the rights that a server grants by default:
 * everything to everybody, but to system streams ("$…") and $all only to admins. */
#ifndef PUMP_NODE_RIGHTS_H
#define PUMP_NODE_RIGHTS_H

#include <pump.h>
#include "pump_node.h"

typedef struct pump_account {
  char *name;
  char *password;
  bool is_admin; /* of $admins */
} pump_account;

typedef struct pump_accounts {
  pump_account *list;
  size_t count;
} pump_accounts;

/* admin and ops with the password that every new server has, and the users beside or instead of
 * them. PUMP_ENOMEM, PUMP_EINVALID: a user without name or password. */
int pump_accounts_init(pump_accounts *accounts, const pump_node_user *users, size_t count);
void pump_accounts_free(pump_accounts *accounts);
/* NULL: no such name, or not its password. */
const pump_account *pump_accounts_find(const pump_accounts *accounts, pump_bytes name,
                                       pump_bytes password);
/* Who acts as admin without a password: connections of the process that owns the node. */
extern const pump_account pump_account_owner;

typedef enum pump_right { PUMP_RIGHT_READ, PUMP_RIGHT_WRITE, PUMP_RIGHT_DELETE } pump_right;

/* who NULL: anonymous. */
bool pump_rights_allow(const pump_account *who, pump_bytes stream, pump_right right);

#endif
