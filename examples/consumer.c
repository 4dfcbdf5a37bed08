/* A consumer of a group: ponies jump, the group is made, each jump is cheered and acknowledged, and
 * one that nobody likes is parked.
 *
 *   cc consumer.c $(pkg-config --cflags --libs pump pump-node libuv) -o consumer
 *   ./consumer                                  on the embedded store
 *   ./consumer 127.0.0.1 1113 admin changeit    on a server */
#include <pump.h>
#include <pump_node.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define JUMPS 3

static const pump_bytes group = {"cheering", 8}, stream = {"jumps", 5};
static pump_node *node;
static int cheered, status = 1;

/* Closing the client sends what its consumers have to say, and ends them. */
static void finish(pump_client *client) {
  pump_client_close(client, NULL, NULL);
  if (node) pump_node_close(node, NULL, NULL);
}

static void cheer(pump_consumer *consumer, const pump_event *event) {
  static const char unloved[] = "{\"Pony\":\"Sparkly Hooves\"}";
  pump_guid id = pump_event_id(event);
  pump_bytes data = event->record ? event->record->data : (pump_bytes){NULL, 0};
  if (data.size == sizeof unloved - 1 && memcmp(data.data, unloved, data.size) == 0)
    pump_consumer_nack(consumer, &id, 1, PUMP_NACK_PARK, (pump_bytes){"not again", 9});
  else
    pump_consumer_ack(consumer, &id, 1);
  printf("%.*s (try %d)\n", (int)data.size, data.data, (int)event->retry_count + 1);
}

static void on_events(pump_consumer *consumer, pump_page *page, size_t first, void *ud) {
  for (size_t i = first; i < page->count; i++)
    cheer(consumer, &page->events[i]);
  cheered += (int)(page->count - first);
  pump_consumer_took(consumer, page->count - first);
  if (cheered < JUMPS) return;
  status = 0;
  finish(ud);
}

static void on_ended(pump_consumer *consumer, const pump_result *result, void *ud) {
  if (status != 0) {
    fprintf(stderr, "%s\n", result->message);
    finish(ud);
  }
  pump_consumer_close(consumer);
}

static void on_created(pump_client *client, const pump_result *result, void *ud) {
  static const pump_consumer_events events = {.events = on_events, .ended = on_ended};
  pump_consumer *consumer;
  (void)ud;
  if (result->status != 0 && result->status != PUMP_EEXISTS) {
    fprintf(stderr, "%s\n", result->message);
    finish(client);
  } else if (pump_client_consume(&consumer, client, group, stream, 0, NULL, &events, client) != 0) {
    finish(client);
  }
}

static void on_jumped(pump_client *client, const pump_result *result, void *ud) {
  pump_group_settings settings;
  pump_group_settings_init(&settings);
  settings.from = 0;
  if (result->status != 0) {
    fprintf(stderr, "%s\n", result->message);
    finish(client);
  } else if (pump_client_create_group(client, group, stream, &settings, NULL, on_created, ud) !=
             0) {
    finish(client);
  }
}

static void on_connected(pump_client *client, const pump_result *result, void *ud) {
  static const char *const ponies[JUMPS] = {"{\"Pony\":\"Derpy Hooves\"}",
                                            "{\"Pony\":\"Sparkly Hooves\"}",
                                            "{\"Pony\":\"Peculiar Hooves\"}"};
  pump_new_event jumps[JUMPS] = {0};
  for (int i = 0; i < JUMPS; i++) {
    jumps[i].type = (pump_bytes){"PonyJumped", 10};
    jumps[i].data = (pump_bytes){ponies[i], strlen(ponies[i])};
    jumps[i].is_json = true;
  }
  if (result->status != 0) {
    fprintf(stderr, "%s\n", result->message);
    finish(client);
  } else if (pump_client_append(client, stream, PUMP_ANY, jumps, JUMPS, NULL, on_jumped, ud) != 0) {
    finish(client);
  }
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN); /* as every program on libuv: a peer may hang up */
  uv_loop_t *loop = uv_default_loop();
  pump_client *client;
  pump_options options;
  pump_options_init(&options);
  if (count == 5) {
    options.host = arguments[1];
    options.port = atoi(arguments[2]);
    options.username = arguments[3];
    options.password = arguments[4];
  } else {
    char error[256];
    pump_node_options store;
    pump_node_options_init(&store);
    if (pump_node_new(&node, loop, &store, error, sizeof error) != 0) {
      fprintf(stderr, "%s\n", error);
      return 1;
    }
    options.open = pump_node_opener;
    options.open_ud = node;
  }
  if (pump_client_new(&client, loop, &options) != 0 ||
      pump_client_connect(client, on_connected, NULL) != 0) {
    fprintf(stderr, "these options make no sense\n");
    return 1;
  }
  uv_run(loop, UV_RUN_DEFAULT);
  return status;
}
