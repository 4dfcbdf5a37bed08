/* core_net.so: the table that late.c loads. */
#include "net/late.h"

PUMP_API extern const pump_late pump_late_table;

const pump_late pump_late_table = {
#define XX(name) .name = name,
    PUMP_LATE_MAP(XX)
#undef XX
};
