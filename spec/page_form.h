/* A page of HTTP held against a recorded one, line by line: what differs from run to run (ids,
 * ports, times, positions) has to be there and to be of its kind. */
#ifndef SPEC_PAGE_FORM_H
#define SPEC_PAGE_FORM_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What a line says of a page's form: all of it, or where values differ from run to run all before
 * the value, and the value's kind. */
static inline void form_of(const char **at, char form[128]) {
  static const char *const own[] = {"Port\"",           "Id\"",           "timeStamp",
                                    "Checkpoint\"",     "\"from\"",       "averageItemsPerSecond",
                                    "CommitPosition\"", "epochPosition\""};
  size_t size = strcspn(*at, "\n");
  snprintf(form, 128, "%.*s", (int)size, *at);
  *at += size + ((*at)[size] == '\n');
  char *uri = strstr(form, "\"http"), *path = uri ? strstr(uri, "://") : NULL;
  if (path)
    memmove(uri + 1, path + strcspn(path + 3, "/") + 3,
            strlen(path) - 3 - strcspn(path + 3, "/") + 1);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
    char *colon = strstr(form, own[i]) ? strstr(form, ": ") : NULL;
    if (!colon) continue;
    bool is_text = colon[2] == '"', has_more = form[strlen(form) - 1] == ',';
    snprintf(colon + 2, 8, "%s%s", is_text ? "text" : "0", has_more ? "," : "");
    return;
  }
}

static inline bool page_has_form(const char *name, const char *recorded, const char *page) {
  char form[128], expected[128];
  while (*page || *recorded) {
    form_of(&recorded, expected);
    form_of(&page, form);
    if (strcmp(form, expected) == 0) continue;
    printf("# %s\n# expected %s\n# got      %s\n", name, expected, form);
    return false;
  }
  return true;
}

/* Only what the page tells, not what it is; up to where either is cut or ends. */
static inline bool page_has_keys(const char *name, const char *recorded, const char *page) {
  while (*page && *page != ']' && strchr(recorded, '\n')) {
    size_t size = strcspn(recorded, ":,\n"), ours = strcspn(page, ":,\n");
    bool is_same = size == ours && strncmp(recorded, page, size) == 0;
    if (!is_same)
      printf("# %s: %.*s there, %.*s here\n", name, (int)size, recorded, (int)ours, page);
    if (!is_same) return false;
    recorded += strcspn(recorded, "\n") + 1;
    page += strcspn(page, "\n");
    page += *page == '\n';
  }
  return true;
}

#endif
