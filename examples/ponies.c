/* Publishes a pony's jump and reads it back: the whole of pump.h that most programs need.
 *
 *   cc ponies.c $(pkg-config --cflags --libs pump pump-node libuv) -o ponies
 *   ./ponies                 on the embedded store
 *   ./ponies 127.0.0.1 1113  on a server */
#include <pump.h>
#include <pump_node.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static pump_node *node;
static int status = 1;

static void finish(pump_client *client) {
  pump_client_close(client, NULL, NULL);
  if (node) pump_node_close(node, NULL, NULL);
}

static void on_read(pump_client *client, const pump_result *result, void *ud) {
  (void)ud;
  if (result->status != 0) {
    fprintf(stderr, "%s\n", result->message);
  } else {
    const pump_record *record = result->page->events[0].record;
    printf("event %lld: %.*s %.*s\n", (long long)record->number, (int)record->type.size,
           record->type.data, (int)record->data.size, record->data.data);
    status = 0;
  }
  finish(client);
}

static void on_append(pump_client *client, const pump_result *result, void *ud) {
  pump_bytes ponies = {"ponies", 6};
  if (result->status != 0) {
    fprintf(stderr, "%s\n", result->message);
    finish(client);
  } else if (pump_client_read_event(client, ponies, result->last_event_number, true, NULL, on_read,
                                    ud) != 0) {
    finish(client);
  }
}

static void on_connect(pump_client *client, const pump_result *result, void *ud) {
  static const char body[] = "{\"Pony\":\"Derpy Hooves\",\"Height\":10}";
  pump_bytes ponies = {"ponies", 6};
  pump_new_event event = {
      .type = {"PonyJumped", 10}, .data = {body, sizeof body - 1}, .is_json = true};
  if (result->status != 0) {
    fprintf(stderr, "%s\n", result->message);
    finish(client);
  } else if (pump_client_append(client, ponies, PUMP_ANY, &event, 1, NULL, on_append, ud) != 0) {
    finish(client);
  }
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN); /* as every program on libuv: a peer may hang up */
  uv_loop_t *loop = uv_default_loop();
  pump_client *client;
  pump_options options;
  pump_options_init(&options);
  if (count == 3) {
    options.host = arguments[1];
    options.port = atoi(arguments[2]);
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
      pump_client_connect(client, on_connect, NULL) != 0) {
    fprintf(stderr, "these options make no sense\n");
    return 1;
  }
  uv_run(loop, UV_RUN_DEFAULT);
  return status;
}
