#include "node/rights.h"

#include "base/bytes.h"

typedef struct roll_call {
  const pump_account *who;
  bool is_called;
} roll_call;

static void on_role(void *ud, pump_bytes name) {
  roll_call *call = ud;
  if (pump_bytes_is(name, "$all")) call->is_called = true;
  if (!call->who || name.size == 0) return;
  if (pump_bytes_is(name, call->who->name) || pump_account_is_of(call->who, name))
    call->is_called = true;
}

bool pump_rights_allow(pump_store *store, const pump_account *who, pump_bytes stream,
                       pump_store_right right) {
  /* Nobody writes to $all: it is what was written elsewhere. */
  if (right != PUMP_STORE_READ && pump_bytes_is(stream, "$all")) return false;
  pump_bytes of = stream;
  bool is_metastream = pump_store_is_metastream(stream, &of);
  /* Nor does anybody delete metadata without its stream. */
  if (is_metastream && right == PUMP_STORE_DELETE) return false;
  if (pump_account_is_admin(who)) return true;
  if (is_metastream)
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
