#include "client/line.h"

#include <stddef.h>

/* What may wait in memory, all requests together. One larger request is always let in. */
#define MAX_BYTES ((size_t)256 * 1024 * 1024)

#define of(node, member)                                                                           \
  ((pump_conversation *)(void *)((char *)(node)-offsetof(pump_conversation, member)))

void pump_line_init(pump_line *line, size_t max_waiting) {
  *line = (pump_line){.max_waiting = max_waiting};
}

void pump_line_free(pump_line *line) {
  pump_heap_free(&line->deadlines);
  pump_heap_free(&line->retries);
}

static bool is_listed(const pump_line *line, const pump_conversation *conversation) {
  return conversation->previous || line->first == conversation;
}

/* before NULL: at the end */
static void insert(pump_line *line, pump_conversation *conversation, pump_conversation *before) {
  conversation->next = before;
  conversation->previous = before ? before->previous : line->last;
  *(conversation->previous ? &conversation->previous->next : &line->first) = conversation;
  *(before ? &before->previous : &line->last) = conversation;
  line->waiting++;
}

static void unlist(pump_line *line, pump_conversation *conversation) {
  if (conversation->previous)
    conversation->previous->next = conversation->next;
  else
    line->first = conversation->next;
  if (conversation->next)
    conversation->next->previous = conversation->previous;
  else
    line->last = conversation->previous;
  conversation->next = conversation->previous = NULL;
  line->waiting--;
}

int pump_line_enter(pump_line *line, pump_conversation *conversation, uint64_t deadline) {
  bool too_much = line->bytes > 0 && line->bytes + conversation->size > MAX_BYTES;
  if (line->waiting + line->retrying >= line->max_waiting || too_much) return PUMP_EBUSY;
  return pump_line_join(line, conversation, 0, deadline);
}

int pump_line_join(pump_line *line, pump_conversation *conversation, uint64_t when,
                   uint64_t deadline) {
  int code = pump_heap_add(&line->deadlines, &conversation->by_deadline, deadline);
  if (code == 0 && when != 0 && (code = pump_line_retry(line, conversation, when)) != 0)
    pump_heap_remove(&line->deadlines, &conversation->by_deadline);
  if (code != 0) return code;
  conversation->deadline = deadline;
  conversation->order = ++line->let_in;
  line->bytes += conversation->size;
  if (when == 0) insert(line, conversation, NULL);
  return 0;
}

pump_conversation *pump_line_take(pump_line *line) {
  pump_conversation *conversation = line->first;
  if (conversation) unlist(line, conversation);
  return conversation;
}

int pump_line_retry(pump_line *line, pump_conversation *conversation, uint64_t when) {
  int code = pump_heap_add(&line->retries, &conversation->by_retry, when);
  if (code == 0) line->retrying++;
  return code;
}

static void forget_retry(pump_line *line, pump_conversation *conversation) {
  if (conversation->by_retry.place == 0) return;
  pump_heap_remove(&line->retries, &conversation->by_retry);
  line->retrying--;
}

/* ---- Coming back -------------------------------------------------------------------------- */

static pump_conversation *merge(pump_conversation *left, pump_conversation *right) {
  pump_conversation *first = NULL, **end = &first;
  while (left && right) {
    pump_conversation **from = left->order < right->order ? &left : &right;
    *end = *from;
    end = &(*from)->next;
    *from = *end;
  }
  *end = left ? left : right;
  return first;
}

static pump_conversation *sort(pump_conversation *list) {
  if (!list || !list->next) return list;
  pump_conversation *middle = list;
  for (pump_conversation *end = list->next; end && end->next; end = end->next->next)
    middle = middle->next;
  pump_conversation *half = middle->next;
  middle->next = NULL;
  return merge(sort(list), sort(half));
}

void pump_line_return(pump_line *line, pump_conversation *list) {
  pump_conversation *before = line->first, *next;
  for (pump_conversation *conversation = sort(list); conversation; conversation = next) {
    next = conversation->next;
    while (before && before->order < conversation->order)
      before = before->next;
    insert(line, conversation, before);
  }
}

void pump_line_resume(pump_line *line, pump_conversation *conversation) {
  if (conversation->by_retry.place == 0) return;
  forget_retry(line, conversation);
  conversation->next = NULL;
  pump_line_return(line, conversation);
}

void pump_line_wake(pump_line *line, uint64_t now) {
  pump_conversation *list = NULL;
  pump_heap_node *node;
  while ((node = pump_heap_first(&line->retries)) && node->key <= now) {
    pump_conversation *conversation = of(node, by_retry);
    forget_retry(line, conversation);
    conversation->next = list;
    list = conversation;
  }
  pump_line_return(line, list);
}

pump_conversation *pump_line_expired(const pump_line *line, uint64_t now) {
  pump_heap_node *node = pump_heap_first(&line->deadlines);
  return node && node->key <= now ? of(node, by_deadline) : NULL;
}

void pump_line_leave(pump_line *line, pump_conversation *conversation) {
  if (is_listed(line, conversation)) unlist(line, conversation);
  forget_retry(line, conversation);
  pump_heap_remove(&line->deadlines, &conversation->by_deadline);
  line->bytes -= conversation->size;
}

pump_conversation *pump_line_any(const pump_line *line) {
  pump_heap_node *node = pump_heap_first(&line->deadlines);
  return node ? of(node, by_deadline) : NULL;
}

uint64_t pump_line_due(const pump_line *line) {
  const pump_heap_node *deadline = pump_heap_first(&line->deadlines);
  const pump_heap_node *retry = pump_heap_first(&line->retries);
  uint64_t due = deadline ? deadline->key : UINT64_MAX;
  return retry && retry->key < due ? retry->key : due;
}
