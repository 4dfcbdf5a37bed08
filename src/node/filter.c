#include "node/filter.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* An expression that is small can want much memory: so long, and with so many repetitions, no more. */
#define LONGEST_REGEX 512
#define MAX_BRACES    2

struct pump_node_filter {
  const PumpTcp__Filter *asked;
  bool has_regex;
  regex_t regex;
};

static bool is_harmless(const ProtobufCBinaryData *text) {
  size_t braces = 0;
  for (size_t i = 0; i < text->len; i++)
    braces += text->data[i] == '{';
  return text->len <= LONGEST_REGEX && braces <= MAX_BRACES && !memchr(text->data, 0, text->len);
}

static int compile(pump_node_filter *filter, const ProtobufCBinaryData *text) {
  char expression[LONGEST_REGEX + 1] = "";
  if (text->len > 0 && !is_harmless(text)) return PUMP_EINVALID;
  if (text->len > 0) memcpy(expression, text->data, text->len);
  int code = regcomp(&filter->regex, expression, REG_EXTENDED | REG_NOSUB);
  if (code != 0) return code == REG_ESPACE ? PUMP_ENOMEM : PUMP_EINVALID;
  filter->has_regex = true;
  return 0;
}

int pump_node_filter_new(pump_node_filter **out, const PumpTcp__Filter *asked) {
  *out = NULL;
  pump_node_filter *filter = calloc(1, sizeof *filter);
  if (!filter) return PUMP_ENOMEM;
  filter->asked = asked;
  int code = 0;
  if (asked && asked->n_data > 0 && asked->type == PUMP_TCP__FILTER_TYPE__FILTER_REGEX)
    code = compile(filter, &asked->data[0]);
  if (code == 0)
    *out = filter;
  else
    free(filter);
  return code;
}

void pump_node_filter_free(pump_node_filter *filter) {
  if (filter && filter->has_regex) regfree(&filter->regex);
  free(filter);
}

/* REG_STARTEND: the text need not end with a NUL. */
static bool matches(const pump_node_filter *filter, pump_bytes text) {
  regmatch_t all = {.rm_so = 0, .rm_eo = (regoff_t)text.size};
  return regexec(&filter->regex, text.size ? text.data : "", 1, &all, REG_STARTEND) == 0;
}

bool pump_node_filter_wants(const pump_node_filter *filter, const pump_event *event) {
  const PumpTcp__Filter *asked = filter->asked;
  const pump_record *record = event->link ? event->link : event->record;
  if (!asked || asked->n_data == 0 || !record) return true;
  pump_bytes text =
      asked->context == PUMP_TCP__FILTER_CONTEXT__FILTER_EVENT_TYPE ? record->type : record->stream;
  if (filter->has_regex) return matches(filter, text);
  for (size_t i = 0; i < asked->n_data; i++) {
    const ProtobufCBinaryData *prefix = &asked->data[i];
    if (prefix->len <= text.size &&
        (prefix->len == 0 || memcmp(prefix->data, text.data, prefix->len) == 0))
      return true;
  }
  return false;
}
