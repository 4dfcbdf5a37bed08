/* Where a password is once a client has connected with it: nowhere that a core file has. All
 * memory of this process that would be dumped is searched for it. */
#include "tap.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "fake_server.h"

#include <pump.h>

#define SIZE 40
#define MASK 0x5a

/* What is searched for, masked, so that the search does not find itself. */
static uint8_t needle[SIZE];
static uv_loop_t loop;

static void answers(fake_server *to, const pump_tcp_frame *frame) {
  if (!fake_handshake(to, frame)) fake_reply(to, frame, PUMP_TCP_PONG, NULL, 0);
}

/* The server is another process: it has to know the password. */
static pid_t serve(int *port) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    fake_server server;
    uv_loop_init(&loop);
    fake_start(&server, &loop);
    server.on_frame = answers;
    if (write(ends[1], &server.port, sizeof server.port) < 0) _exit(1);
    uv_run(&loop, UV_RUN_DEFAULT);
    _exit(0);
  }
  bool is_told = read(ends[0], port, sizeof *port) == sizeof *port;
  close(ends[0]);
  close(ends[1]);
  return is_told ? child : -1;
}

static bool is_here(const uint8_t *at) {
  for (size_t i = 0; i < SIZE; i++)
    if ((at[i] ^ MASK) != needle[i]) return false;
  return true;
}

static int search_range(int memory, uint64_t from, uint64_t to) {
  static uint8_t bytes[65536];
  int found = 0;
  while (from + SIZE <= to) {
    size_t wanted = to - from < sizeof bytes ? (size_t)(to - from) : sizeof bytes;
    ssize_t got = pread(memory, bytes, wanted, (off_t)from);
    if (got < SIZE) break;
    for (ssize_t i = 0; i + SIZE <= got; i++)
      found += bytes[i] == (needle[0] ^ MASK) && is_here(bytes + i);
    memset(bytes, 0, sizeof bytes);
    from += (uint64_t)(got - SIZE + 1);
  }
  return found;
}

/* How often the password is in memory; with is_dumped in that which a core file has. */
static int search(bool is_dumped) {
  char line[512];
  uint64_t from = 0, to = 0, low, high;
  char rights[8];
  int found = 0, memory = open("/proc/self/mem", O_RDONLY);
  FILE *maps = fopen("/proc/self/smaps", "r");
  while (maps && memory >= 0 && fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &low, &high, rights) == 3) {
      from = low;
      to = rights[0] == 'r' ? high : low;
    }
    if (strncmp(line, "VmFlags:", 8) == 0 && (!is_dumped || !strstr(line, " dd")))
      found += search_range(memory, from, to);
  }
  if (maps) fclose(maps);
  if (memory >= 0) close(memory);
  return found;
}

static void take(pump_client *client, const pump_result *result, void *ud) {
  (void)client;
  *(int *)ud = result->status == 0 ? 1 : -1;
}

static int ask(pump_client *client, const pump_call *call) {
  int status = 0;
  if (call)
    pump_client_ping(client, call, take, &status);
  else
    pump_client_connect(client, take, &status);
  while (status == 0)
    uv_run(&loop, UV_RUN_ONCE);
  return status;
}

static void unmask(char password[SIZE + 1]) {
  for (size_t i = 0; i < SIZE; i++)
    password[i] = (char)(needle[i] ^ MASK);
  password[SIZE] = '\0';
}

static pump_client *make(int port) {
  char password[SIZE + 1];
  pump_client *client;
  pump_options options;
  unmask(password);
  pump_options_init(&options);
  options.port = port;
  options.username = "admin";
  options.password = password;
  pump_client_new(&client, &loop, &options);
  explicit_bzero(password, sizeof password);
  return client;
}

static void ask_as_somebody(pump_client *client) {
  char password[SIZE + 1];
  unmask(password);
  pump_call call = {.username = {"ops", 3}, .password = {password, SIZE}};
  tap_ok(ask(client, &call) == 1, "a call with a login of its own");
  explicit_bzero(password, sizeof password);
}

int main(void) {
  bool is_huge = slowness() > 1; /* a checker's own memory is among it */
#ifdef __SANITIZE_ADDRESS__
  is_huge = true;
#endif
  if (is_huge) {
    printf("1..0 # SKIP there is too much memory to search\n");
    return 0;
  }
  int port = 0;
  pid_t server = serve(&port);
  int random = open("/dev/urandom", O_RDONLY);
  if (random < 0 || read(random, needle, SIZE) != SIZE) return 1;
  for (size_t i = 0; i < SIZE; i++)
    needle[i] = (uint8_t)('a' + needle[i] % 26) ^ MASK;
  uv_loop_init(&loop);
  pump_client *client = make(port);
  tap_ok(ask(client, NULL) == 1, "connected with a password");
  tap_ok(search(false) == 1, "it is in memory once, to connect again");
  tap_ok(search(true) == 0, "and where no core file has it");
  ask_as_somebody(client);
  tap_ok(search(true) == 0, "which leaves nothing either");
  pump_client_close(client, NULL, NULL);
  uv_run(&loop, UV_RUN_DEFAULT);
  tap_ok(search(false) == 0, "when the client is closed it is nowhere");
  uv_loop_close(&loop);
  kill(server, SIGTERM);
  waitpid(server, NULL, 0);
  return tap_done();
}
