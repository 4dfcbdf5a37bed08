#include "node/pages.h"

#include <time.h>

const char *pump_page_version(pump_like like) {
  static const char *const versions[] = {
      [PUMP_LIKE_4] = "4.1.4.0", [PUMP_LIKE_5] = "5.0.8.0", [PUMP_LIKE_23] = "23.10.6.0"};
  return versions[like];
}

static void put_time(pump_buffer *out, int64_t now) {
  time_t seconds = (time_t)(now / 1000000);
  struct tm utc;
  char text[32];
  gmtime_r(&seconds, &utc);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  pump_buffer_printf(out, "      \"timeStamp\": \"%s.%06dZ\",\n", text, (int)(now % 1000000));
}

static void put_guid(pump_buffer *out, const char *name, const pump_guid *guid) {
  char text[PUMP_GUID_TEXT + 1];
  pump_guid_format(guid, text);
  pump_buffer_printf(out, "      \"%s\": \"%s\",\n", name, text);
}

static void put_place(pump_buffer *out, const char *name, const char *host, int port,
                      const char *port_name) {
  pump_buffer_printf(out, "      \"%s\": \"%s\",\n      \"%s\": %d,\n", name, host, port_name,
                     port);
}

static void put_places(pump_buffer *out, const pump_self *self) {
  int plain = self->is_secure ? 0 : self->tcp_port, secure = self->is_secure ? self->tcp_port : 0;
  put_place(out, "internalTcpIp", self->tcp_host, plain, "internalTcpPort");
  pump_buffer_printf(out, "      \"internalSecureTcpPort\": %d,\n", secure);
  put_place(out, "externalTcpIp", self->tcp_host, plain, "externalTcpPort");
  pump_buffer_printf(out, "      \"externalSecureTcpPort\": %d,\n", secure);
  if (self->like == PUMP_LIKE_23) {
    put_place(out, "httpEndPointIp", self->http_host, self->http_port, "httpEndPointPort");
    return;
  }
  put_place(out, "internalHttpIp", self->http_host, self->http_port, "internalHttpPort");
  put_place(out, "externalHttpIp", self->http_host, self->http_port, "externalHttpPort");
}

void pump_page_gossip(pump_buffer *out, const pump_self *self) {
  pump_buffer_text(out, "{\n  \"members\": [\n    {\n");
  put_guid(out, "instanceId", &self->instance);
  put_time(out, self->now);
  pump_buffer_printf(out, "      \"state\": \"%s\",\n      \"isAlive\": true,\n",
                     self->like == PUMP_LIKE_23 ? "Leader" : "Master");
  put_places(out, self);
  pump_buffer_printf(out,
                     "      \"lastCommitPosition\": %lld,\n"
                     "      \"writerCheckpoint\": %lld,\n"
                     "      \"chaserCheckpoint\": %lld,\n"
                     "      \"epochPosition\": 0,\n"
                     "      \"epochNumber\": 0,\n",
                     (long long)self->last_position, (long long)self->end_position,
                     (long long)self->end_position);
  put_guid(out, "epochId", &self->epoch);
  pump_buffer_text(out, "      \"nodePriority\": 0");
  if (self->like == PUMP_LIKE_23)
    pump_buffer_printf(out, ",\n      \"isReadOnlyReplica\": false,\n      \"esVersion\": \"%s\"",
                       pump_page_version(self->like));
  pump_buffer_printf(out, "\n    }\n  ],\n  \"serverIp\": \"%s\",\n  \"serverPort\": %d\n}",
                     self->http_host, self->http_port);
}

void pump_page_info(pump_buffer *out, pump_like like) {
  if (like == PUMP_LIKE_23)
    pump_buffer_printf(out,
                       "{\n"
                       "  \"esVersion\": \"%s\",\n"
                       "  \"state\": \"leader\",\n"
                       "  \"features\": {\n"
                       "    \"projections\": false,\n"
                       "    \"userManagement\": true,\n"
                       "    \"atomPub\": true\n"
                       "  },\n"
                       "  \"authentication\": {\n"
                       "    \"type\": \"internal\",\n"
                       "    \"properties\": null\n"
                       "  }\n"
                       "}",
                       pump_page_version(like));
  else
    pump_buffer_printf(out,
                       "{\n"
                       "  \"esVersion\": \"%s\",\n"
                       "  \"state\": \"master\",\n"
                       "  \"projectionsMode\": \"None\"\n"
                       "}",
                       pump_page_version(like));
}

void pump_page_ping(pump_buffer *out) {
  pump_buffer_text(out, "{\n  \"text\": \"Ping request successfully handled\"\n}");
}
