/* The servers that a node can answer as. */
#ifndef PUMP_NODE_LIKE_H
#define PUMP_NODE_LIKE_H

typedef enum pump_like {
  PUMP_LIKE_4, /* EventStore 4.1 */
  PUMP_LIKE_5, /* 5.0 */
  PUMP_LIKE_23 /* 23.10 */
} pump_like;

#endif
