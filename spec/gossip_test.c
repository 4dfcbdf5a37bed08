/* Gossip: what servers of all versions were recorded to say, what they may say, and what no server
 * should. */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "conversation/gossip.h"
#include "starve.h"
#include "tap.h"

static pump_members *read_recording(const char *name) {
  char path[200], error[200] = "";
  static char text[64 * 1024];
  snprintf(path, sizeof path, "spec/recorded/%s.json", name);
  FILE *file = fopen(path, "r");
  if (!file) return NULL;
  size_t size = fread(text, 1, sizeof text, file);
  fclose(file);
  pump_members *members;
  if (pump_gossip_parse(&members, (pump_bytes){text, size}, error, sizeof error) != 0)
    printf("# %s: %s\n", name, error);
  return members;
}

/* "3111 Leader": the member that a choice ends with. */
static const char *chosen(const pump_members *members, pump_gossip_choice choice) {
  static char text[100];
  int index = members ? pump_gossip_choose(members, &choice) : -1;
  if (index < 0) return "nobody";
  const pump_member *member = &members->members[index];
  snprintf(text, sizeof text, "%d %s",
           choice.is_secure ? member->secure_tcp_port : member->tcp_port,
           member->state ? member->state : "-");
  return text;
}

static void test_recordings(void) {
  static const struct {
    const char *file;
    size_t count;
    const char *leader, *follower, *secure;
  } cases[] = {
      {"4.1.4/gossip-single", 1, "1113 Master", "1113 Master", "1115 Master"},
      {"4.1.4/gossip-cluster", 3, "5213 Master", "5313 Slave", "5215 Master"},
      {"5.0.8/gossip-single", 1, "1113 Master", "1113 Master", "1115 Master"},
      {"5.0.8/gossip-cluster", 3, "5113 Master", "5313 Slave", "5115 Master"},
      {"23.10.6/gossip-single", 1, "3117 Leader", "3117 Leader", "nobody"},
      {"23.10.6/gossip-cluster", 3, "3121 Leader", "3131 Follower", "nobody"},
      {"23.10.6/gossip-leader-down", 3, "3131 Follower", "3131 Follower", "nobody"},
      {"23.10.6/gossip-after-election", 3, "3111 Leader", "3131 Follower", "nobody"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_members *members = read_recording(cases[i].file);
    tap_ok(members && members->count == cases[i].count, "%s has its members", cases[i].file);
    const char *name = chosen(members, (pump_gossip_choice){0});
    tap_ok(strcmp(name, cases[i].leader) == 0, "… the leader is %s", name);
    name = chosen(members, (pump_gossip_choice){.selector = PUMP_SELECT_FOLLOWER});
    tap_ok(strcmp(name, cases[i].follower) == 0, "… the follower is %s", name);
    name = chosen(members, (pump_gossip_choice){.is_secure = true});
    tap_ok(strcmp(name, cases[i].secure) == 0, "… with TLS it is %s", name);
    pump_members_unref(members);
  }
}

static void test_fields(void) {
  pump_members *old = read_recording("4.1.4/gossip-cluster");
  pump_members *new = read_recording("23.10.6/gossip-after-election");
  const pump_member *master = &old->members[1], *leader = &new->members[2];
  tap_ok(strcmp(master->instance_id, "d664df50-555d-43a2-a198-258aec6044e6") == 0 &&
             master->is_alive && master->is_leader && !old->members[0].is_leader,
         "4.1.4: who it is");
  tap_ok(strcmp(master->tcp_host, "127.0.0.1") == 0 && master->tcp_port == 5213 &&
             master->secure_tcp_port == 5215 && strcmp(master->http_host, "127.0.0.1") == 0 &&
             master->http_port == 6213 && !master->version,
         "4.1.4: its external addresses");
  tap_ok(leader->http_port == 3113 && strcmp(leader->version, "23.10.6.0") == 0 &&
             leader->epoch_number == 1 && leader->epoch_position == 56680 &&
             leader->last_commit_position == 56930 && leader->writer_checkpoint == 57266 &&
             leader->chaser_checkpoint == 57266 && !leader->is_read_only_replica,
         "23.10.6: its HTTP end point, and the rest");
  pump_members_unref(pump_members_ref(old));
  tap_ok(old->count == 3, "a reference keeps them");
  pump_members_unref(old);
  pump_members_unref(new);
}

/* Members as "STATE:PORT[!]" with ! for the dead, in the shape of 20.6. */
static pump_members *members_of(const char *text) {
  pump_buffer json = {0};
  pump_buffer_text(&json, "{\"members\":[");
  char state[64], dead[2];
  int port, used;
  for (const char *at = text; *at; at += used) {
    dead[0] = '\0';
    if (sscanf(at, " %63[^:]:%d%1[!]%n", state, &port, dead, &used) < 3)
      sscanf(at, " %63[^:]:%d%n", state, &port, &used);
    pump_buffer_printf(&json,
                       "%s{\"state\":\"%s\",\"isAlive\":%s,\"externalTcpIp\":\"db.example\","
                       "\"externalTcpPort\":%d,\"epochNumber\":%d}",
                       at == text ? "" : ",", state, *dead ? "false" : "true", port, port % 10);
  }
  pump_buffer_text(&json, "]}");
  pump_members *members;
  char error[100];
  pump_gossip_parse(&members, (pump_bytes){(char *)json.data, json.size}, error, sizeof error);
  pump_buffer_free(&json);
  return members;
}

static void test_ranking(void) {
  static const struct {
    const char *members;
    const char *leader, *follower, *random;
  } cases[] = {
      {"Follower:1 Leader:2 Follower:3", "2 Leader", "1 Follower", "1 Follower"},
      {"Slave:1 Master:2!", "1 Slave", "1 Slave", "1 Slave"},
      {"ReadOnlyReplica:1 Leader:2", "2 Leader", "1 ReadOnlyReplica", "1 ReadOnlyReplica"},
      {"ReadOnlyReplica:1 Follower:2", "2 Follower", "2 Follower", "1 ReadOnlyReplica"},
      {"ReadOnlyLeaderless:1 ResigningLeader:2", "2 ResigningLeader", "1 ReadOnlyLeaderless",
       "1 ReadOnlyLeaderless"},
      {"Sleeping:1 ResigningLeader:2", "2 ResigningLeader", "2 ResigningLeader",
       "2 ResigningLeader"},
      {"Sleeping:1 Clone:2", "1 Sleeping", "1 Sleeping", "1 Sleeping"},
      {"Leader:21 Leader:13 Leader:12", "13 Leader", "13 Leader", "13 Leader"},
      {"Follower:0 Leader:0", "nobody", "nobody", "nobody"},
      {"", "nobody", "nobody", "nobody"},
      {"Initializing:1 DiscoverLeader:2 Unknown:3 PreReplica:4 PreReadOnlyReplica:5 CatchingUp:6 "
       "Clone:7 PreLeader:8 PreMaster:9 Manager:10 ShuttingDown:11 Shutdown:12 Leader:13!",
       "nobody", "nobody", "nobody"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_members *members = members_of(cases[i].members);
    const char *const wanted[] = {cases[i].leader, cases[i].follower, cases[i].random};
    for (int selector = PUMP_SELECT_LEADER; selector <= PUMP_SELECT_RANDOM; selector++) {
      const char *name = chosen(members, (pump_gossip_choice){.selector = selector});
      tap_ok(strcmp(name, wanted[selector]) == 0, "%s of %s (selector %d)", name, cases[i].members,
             selector);
    }
    pump_members_unref(members);
  }
}

static void test_choice(void) {
  pump_members *members = members_of("Follower:1 Leader:2 Follower:3");
  bool seen[4] = {false};
  for (uint32_t random = 0; random < 3; random++) {
    int index = pump_gossip_choose(
        members, &(pump_gossip_choice){.selector = PUMP_SELECT_RANDOM, .random = random});
    seen[index + 1] = true;
  }
  tap_ok(seen[1] && seen[2] && seen[3], "a random one is any of them");
  const char *name =
      chosen(members, (pump_gossip_choice){.selector = PUMP_SELECT_FOLLOWER, .random = 1});
  tap_ok(strcmp(name, "3 Follower") == 0, "a follower is any of them too");
  tap_ok(strcmp(chosen(members, (pump_gossip_choice){.refused = 2}), "1 Follower") == 0,
         "not one that was tried in vain");
  tap_ok(strcmp(chosen(members, (pump_gossip_choice){.refused = 2, .leader_only = true}),
                "nobody") == 0,
         "the leader or nobody");
  tap_ok(strcmp(chosen(members, (pump_gossip_choice){.selector = PUMP_SELECT_FOLLOWER,
                                                     .refused = 5,
                                                     .leader_only = true}),
                "2 Leader") == 0,
         "… which is not said of followers");
  pump_members_unref(members);
  const char *why = NULL;
  const pump_member tls = {
      .is_alive = true, .state = "Leader", .tcp_host = "h", .secure_tcp_port = 1};
  tap_ok(!pump_gossip_is_usable(&tls, false, &why) && why && strstr(why, "TLS only"), "why not: %s",
         why ? why : "");
  const pump_member grpc = {.is_alive = true, .state = "Leader", .http_host = "h", .http_port = 1};
  tap_ok(!pump_gossip_is_usable(&grpc, false, &why) && why && strstr(why, "no TCP"), "why not: %s",
         why ? why : "");
}

static void test_tolerated(void) {
  static const char *const texts[] = {
      "{\"members\":[]}",
      " { \"serverIp\" : \"x\" , \"members\" : [ { } , {\"state\":null} ] , \"more\":[{}] } ",
      "{\"members\":[{\"state\":\"a\",\"state\":\"L\\u0065ader\",\"future\":{\"members\":[1]}}]}",
      "{\"members\":[{\"externalTcpIp\":\"::1%lo\",\"httpEndPointPort\":65535}],\"members\":1}",
      "{\"members\":[{\"epochNumber\":-1,\"lastCommitPosition\":9223372036854775807}]}",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    pump_members *members;
    char error[100] = "";
    int code = pump_gossip_parse(&members, pump_bytes_of(texts[i]), error, sizeof error);
    tap_ok(code == 0, "%s%s", texts[i], error);
    if (i == 2)
      tap_ok(members && strcmp(members->members[0].state, "Leader") == 0, "the last one counts");
    pump_members_unref(members);
  }
}

static void test_refused(void) {
  static const char *const cases[][2] = {
      {"", "at byte 1"},
      {"<html>", "at byte 1"},
      {"[]", "no object with members"},
      {"{}", "no object with members"},
      {"42", "no object with members"},
      {"{\"members\":{}}", "no object with members"},
      {"{\"members\":[1]}", "members[0] is no object"},
      {"{\"members\":[{},[]]}", "members[1] is no object"},
      {"{\"members\":[{}", "at byte"},
      {"{\"members\":[]", "at byte"},
      {"{\"members\":[]} x", "at byte 16"},
      {"{\"members\":[{\"a\":[}]}", "at byte"},
      {"{\"members\":[{},{\"externalTcpPort\":65536}]}", "members[1].externalTcpPort is no port"},
      {"{\"members\":[{\"externalTcpPort\":-1}]}", "is no port"},
      {"{\"members\":[{\"externalTcpPort\":1.0}]}", "is no port"},
      {"{\"members\":[{\"httpEndPointPort\":\"1\"}]}", "is no port"},
      {"{\"members\":[{\"externalTcpIp\":\"a b\"}]}", "externalTcpIp is no address"},
      {"{\"members\":[{\"externalTcpIp\":\"\"}]}", "is no address"},
      {"{\"members\":[{\"externalTcpIp\":\"a@b\"}]}", "is no address"},
      {"{\"members\":[{\"externalHttpIp\":\"a/b\"}]}", "is no address"},
      {"{\"members\":[{\"externalTcpIp\":\"a\\u0000b\"}]}", "is no text"},
      {"{\"members\":[{\"state\":\"a\\nb\"}]}", "is no text"},
      {"{\"members\":[{\"state\":7}]}", "state is no string"},
      {"{\"members\":[{\"isAlive\":\"true\"}]}", "isAlive is neither"},
      {"{\"members\":[{\"epochNumber\":1e3}]}", "is no whole number"},
      {"{\"members\":[{\"epochNumber\":9223372036854775808}]}", "is no whole number"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pump_members *members;
    char error[100] = "";
    int code = pump_gossip_parse(&members, pump_bytes_of(cases[i][0]), error, sizeof error);
    tap_ok(code == PUMP_EPROTOCOL && !members && strstr(error, cases[i][1]), "%s: %s", cases[i][0],
           error);
  }
}

/* Text that was repeated so often, as gossip. */
static int parse_many(const char *before, const char *part, size_t count, const char *after,
                      char *error) {
  pump_buffer json = {0};
  pump_buffer_text(&json, before);
  for (size_t i = 0; i < count; i++)
    pump_buffer_text(&json, part);
  pump_buffer_text(&json, after);
  pump_members *members;
  int code = pump_gossip_parse(&members, (pump_bytes){(char *)json.data, json.size}, error, 100);
  pump_buffer_free(&json);
  pump_members_unref(members);
  return code;
}

static void test_sizes(void) {
  char error[100] = "";
  tap_ok(parse_many("{\"members\":[{}", ",{}", PUMP_MAX_MEMBERS - 1, "]}", error) == 0,
         "%d members", PUMP_MAX_MEMBERS);
  tap_ok(parse_many("{\"members\":[{}", ",{}", PUMP_MAX_MEMBERS, "]}", error) == PUMP_EPROTOCOL &&
             strstr(error, "more than"),
         "and no more: %s", error);
  tap_ok(parse_many("{\"members\":[{\"state\":\"", "x", 255, "\"}]}", error) == 0, "255 bytes");
  tap_ok(parse_many("{\"members\":[{\"state\":\"", "x", 256, "\"}]}", error) == PUMP_EPROTOCOL,
         "and no more: %s", error);
  tap_ok(parse_many("{\"members\":", "[", 100000, "", error) == PUMP_EPROTOCOL, "deep: %s", error);
  tap_ok(parse_many("{\"members\":[{", "\"state\":\"\",", 1000, "\"a\":1}]}", error) == 0,
         "the same field a thousand times");
}

static int parse_and_free(void *ud) {
  (void)ud;
  pump_members *members;
  char error[100];
  int code = pump_gossip_parse(&members, pump_bytes_of("{\"members\":[{\"state\":\"Leader\"}]}"),
                               error, sizeof error);
  pump_members_unref(members);
  return code;
}

/* ---- The version -------------------------------------------------------------------------- */

static bool tells(const char *text, const char *wanted) {
  char version[16], error[160] = "";
  int code = pump_info_parse(version, sizeof version, pump_bytes_of(text), error, sizeof error);
  return wanted ? code == 0 && strcmp(version, wanted) == 0 : code == PUMP_EPROTOCOL && *error;
}

static void info_is_read(void) {
  tap_ok(tells("{\"state\":\"master\",\"esVersion\":\"5.0.8.0\",\"x\":[{}]}", "5.0.8.0"),
         "/info tells the version");
  static const char *const wrong[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"esVersion\":5}",
                                      "{\"esVersion\":\"\"}",
                                      "{\"esVersion\":\"1",
                                      "{\"esVersion\":\"longer than any version is\"}",
                                      "{\"esVersion\":\"a\\nb\"}",
                                      "{\"esVersion\":\"1\"} x",
                                      "{\"x\":",
                                      "null",
                                      "<html>"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    tap_ok(tells(wrong[i], NULL), "%s tells none", wrong[i]);
}

int main(void) {
  test_recordings();
  test_fields();
  test_ranking();
  test_choice();
  test_tolerated();
  test_refused();
  test_sizes();
  tap_ok(starve(parse_and_free, NULL, PUMP_ENOMEM) == 1, "one allocation, and it may fail");
  info_is_read();
  return tap_done();
}
