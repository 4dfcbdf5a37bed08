/* Fuzzer of gossip: any text is members or one line of error, and whoever is chosen of them can be
 * connected to. */
#include <stdlib.h>
#include <string.h>

#include "conversation/gossip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_member(const pump_member *member) {
  const char *texts[] = {member->instance_id, member->state, member->tcp_host, member->http_host,
                         member->version};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i] && (strlen(texts[i]) > 255 || strpbrk(texts[i], "\r\n"))) abort();
  const int ports[] = {member->tcp_port, member->secure_tcp_port, member->http_port};
  for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
    if (ports[i] < 0 || ports[i] > 65535) abort();
}

static void check_choice(const pump_members *members, uint32_t random) {
  for (int selector = PUMP_SELECT_LEADER; selector <= PUMP_SELECT_RANDOM; selector++) {
    pump_gossip_choice choice = {
        .selector = selector, .is_secure = random & 1, .leader_only = random & 2, .random = random};
    const char *why;
    int index;
    while ((index = pump_gossip_choose(members, &choice)) >= 0) {
      if ((size_t)index >= members->count || choice.refused >> index & 1) abort();
      if (!pump_gossip_is_usable(&members->members[index], choice.is_secure, &why)) abort();
      choice.refused |= UINT64_C(1) << index;
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pump_members *members;
  char error[100];
  memset(error, '!', sizeof error);
  int code =
      pump_gossip_parse(&members, (pump_bytes){(const char *)data, size}, error, sizeof error);
  if (code != 0) {
    if (members || !memchr(error, '\0', sizeof error)) abort();
    return 0;
  }
  if (members->count > PUMP_MAX_MEMBERS) abort();
  for (size_t i = 0; i < members->count; i++)
    check_member(&members->members[i]);
  check_choice(members, (uint32_t)size);
  pump_members_unref(members);
  return 0;
}
