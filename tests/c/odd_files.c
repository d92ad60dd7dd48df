/*
 * Files that are not what they should be, at every option that names one, at the creation of a client
 * and later: a pipe that hangs, a device, a directory, an endless or an enormous file, a link to
 * itself, a file system that hangs, another text. Each cell is its own process. Besides what holds
 * for every call (calls.h),
 * - a refused creation says which option is wrong, and takes no longer than the client's timeout,
 * - closing, freeing and exiting do not block,
 * - a store never prevents a client or a token,
 * - once the file is right again, tokens are fetched again.
 * Usage: odd_files [PART OF A ROW'S OR COLUMN'S NAME]
 */
#include "calls.h"
#include "emulator.h"
#include "hanging.h"
#include "names.h"
#include "places.h"

#include <sys/un.h>

/* --- what a path leads to --------------------------------------------------------------------- */

static void is_missing(const char *path) { (void)path; }
static void is_directory(const char *path) { CHECK(mkdir(path, 0700) == 0); }
static void is_empty(const char *path) { write_text(path, ""); }
static void is_pipe(const char *path) { CHECK(mkfifo(path, 0600) == 0); }
static void is_loop(const char *path) { CHECK(symlink(path, path) == 0); }
static void is_zero(const char *path) { CHECK(symlink("/dev/zero", path) == 0); }
static void is_null(const char *path) { CHECK(symlink("/dev/null", path) == 0); }
static void is_memory(const char *path) { CHECK(symlink("/proc/self/mem", path) == 0); }
static void is_terminal(const char *path) { CHECK(symlink("/dev/tty", path) == 0); }

/* It can be opened, and never says anything. */
static void is_silent_pipe(const char *path) {
  is_pipe(path);
  CHECK(open(path, O_RDWR) >= 0);
}

static void is_standard_input(const char *path) {
  int ends[2];
  CHECK(pipe(ends) == 0 && dup2(ends[0], 0) == 0);
  CHECK(symlink("/dev/stdin", path) == 0);
}

static void is_socket(const char *path) {
  struct sockaddr_un address;
  int made = socket(AF_UNIX, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  CHECK(bind(made, (struct sockaddr *)&address, sizeof address) == 0);
}

static void is_enormous(const char *path) {
  write_text(path, "");
  CHECK(truncate(path, 1L << 36) == 0);
}

/* Where the store is, below the path. */
static const char *store_below = "";

static void is_on_mount(const char *path, int opens_files) {
  char mounted[256], target[264];
  snprintf(mounted, sizeof mounted, "%s.mount", path);
  snprintf(target, sizeof target, "%s%s", mounted, opens_files ? "/file" : "");
  CHECK(mkdir(mounted, 0700) == 0);
  CHECK(mount_hanging(mounted, opens_files) == 0);
  CHECK(symlink(target, path) == 0);
}

static void is_on_hanging_mount(const char *path) { is_on_mount(path, 0); }
static void hangs_when_read(const char *path) { is_on_mount(path, 1); }

static void is_other_text(const char *path) { write_text(path, "something else\n"); }

struct odd {
  const char *name;
  void (*make)(const char *path);
};

static const struct odd odds[] = {
    {"missing", is_missing},
    {"a directory", is_directory},
    {"empty", is_empty},
    {"other text", is_other_text},
    {"a pipe without a writer", is_pipe},
    {"a pipe that is silent", is_silent_pipe},
    {"/dev/stdin that is silent", is_standard_input},
    {"/dev/zero", is_zero},
    {"/dev/null", is_null},
    {"/dev/tty", is_terminal},
    {"/proc/self/mem", is_memory},
    {"a link to itself", is_loop},
    {"a socket", is_socket},
    {"64 GiB", is_enormous},
    {"on a file system that hangs", is_on_hanging_mount},
    {"a file that hangs when read", hangs_when_read},
};

/* --- options that name a path --------------------------------------------------------------- */

struct option {
  const char *key;
  const char *good;     /* a variable of the environment that holds the right text */
  int is_file_of_text;  /* the variable names a file that holds it */
};

static const struct option options[] = {
    {"client_id_file", "TRACKUNIT_CLIENT_ID", 0},
    {"client_secret_file", "TRACKUNIT_CLIENT_SECRET", 0},
    {"ca_file", "TRACKUNIT_CA_FILE", 1},
    {"client_cert_file", "FRONT_CERT", 1},
    {"client_key_file", "FRONT_KEY", 1},
    {"store", NULL, 0},
};

static void put_right(const struct option *option, const char *path) {
  if (!option->good) return;
  if (option->is_file_of_text) copy_file(getenv(option->good), path);
  else write_text(path, getenv(option->good));
}

/* A client whose option names this path; the other files are in order. Where the path is in order as well, a busy
 * machine has more time to read them all. */
static tu_client *client_of(const char *key, const char *path, long timeout_ms, tu_error **error) {
  char value[256], timeout[32];
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  snprintf(timeout, sizeof timeout, "%ldms", timeout_ms);
  tu_config_set(config, "timeout", timeout);
  tu_config_set(config, "connect_timeout", "2s");
  if (!strcmp(key, "client_cert_file")) tu_config_set(config, "client_key_file", getenv("FRONT_KEY"));
  if (!strcmp(key, "client_key_file")) tu_config_set(config, "client_cert_file", getenv("FRONT_CERT"));
  int is_store = !strcmp(key, "store");
  snprintf(value, sizeof value, "%s%s%s", is_store ? "file:" : "", path, is_store ? store_below : "");
  tu_config_set(config, key, value);
  double from = now_ms();
  tu_client *made = tu_client_new(config, error);
  /* At most its timeout for reading files. */
  check_time(from, 2 * timeout_ms);
  tu_free(config);
  return made;
}

/* A file whose content is wrong is believed until the server has refused it: at most a second longer. */
static void recovers(void) {
  this_cell->figures->recovered_ms = until_served();
  CHECK(this_cell->figures->recovered_ms < 3.0 * (double)slack());
}

static void begin(struct cell *cell) {
  const struct odd *odd = (const struct odd *)cell->fault;
  this_cell = cell;
  enter_own_directory();
  /* A link is not followed to the store itself. */
  if (odd && odd->make == is_on_hanging_mount) store_below = "/store";
}

static void asks(void) {
  double from = now_ms();
  ask(SHORT_MS, NULL);
  all_are_answered(from, SHORT_MS);
}

/* Exits as a program does, with all that is registered for that. */
static void end(void) { exit(checks_failed != 0); }

/* --- an odd file at creation, and one in the place of a good one ----------------------------- */

static void at_creation(struct cell *cell) {
  const struct odd *odd = (const struct odd *)cell->fault;
  const struct option *option = (const struct option *)cell->place;
  tu_error *error = NULL;
  begin(cell);
  const char *path = path_of("named"), *good = path_of("good");
  odd->make(path);
  client = client_of(option->key, path, SHORT_MS, &error);
  if (!client) {
    note("creation", error);
    if (!strstr(tu_error_message(error), option->key)) fprintf(stderr, "%s\n", tu_error_message(error));
    CHECK(strstr(tu_error_message(error), option->key) != NULL);
    CHECK(option->good != NULL); /* a store never prevents a client */
    tu_free(error);
    put_right(option, good);
    client = client_of(option->key, good, LONG_MS, NULL);
  } else if (!option->good) {
    CHECK(get(LONG_MS, 0)); /* nor a token */
    CHECK(get_another(LONG_MS));
  }
  CHECK(client != NULL);
  if (!client) end();
  asks();
  get(SHORT_MS, 0);
  if (option->good) {
    unlink(path), rmdir(path);
    put_right(option, path);
  }
  recovers();
  release();
  end();
}

static void replaced(struct cell *cell) {
  const struct odd *odd = (const struct odd *)cell->fault;
  const struct option *option = (const struct option *)cell->place;
  begin(cell);
  const char *path = path_of("named"), *odd_path = path_of("odd");
  if (option->good) put_right(option, path);
  else is_directory(path);
  client = client_of(option->key, path, LONG_MS, NULL);
  CHECK(client != NULL);
  if (!client) end();
  CHECK(get(LONG_MS, 0));
  odd->make(odd_path);
  if (system(NULL)) {
    char moving[400];
    snprintf(moving, sizeof moving, "rm -rf %s; mv -T %s %s 2>/dev/null", path, odd_path, path);
    if (system(moving) != 0) CHECK(odd->make == is_missing);
  }
  CHECK(get(SHORT_MS, 0)); /* the cached one */
  int there_is_one = get_another(option->good ? 2000 : LONG_MS);
  if (!option->good) CHECK(there_is_one);
  asks();
  char removing[200];
  snprintf(removing, sizeof removing, "rm -rf %s", path);
  CHECK(system(removing) == 0);
  put_right(option, path);
  recovers();
  CHECK(get_another(LONG_MS));
  release();
  end();
}

/* --- a secret that the server refuses, until the file is mended -------------------------------- */

struct refusal {
  const char *name, *answer;
};

static const struct refusal refusals[] = {
    {"refused with invalid_client",
     "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n"
     "{\"error\":\"invalid_client\"}"},
    {"refused with 401", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"},
    {"refused with 403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"},
    {"refused with 400",
     "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n"
     "{\"error\":\"access_denied\"}"},
};

enum { REFUSALS = sizeof refusals / sizeof *refusals };

static const char *const granted =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 65\r\n\r\n"
    "{\"access_token\":\"mended\",\"token_type\":\"Bearer\",\"expires_in\":1200}";

/* An endpoint for which only the secret "right" is right. */
static void serve(int listening, const char *refusal) {
  for (;;) {
    char request[8192] = "";
    size_t got = 0;
    int accepted = accept(listening, NULL, NULL);
    for (ssize_t more = 1; more > 0 && !strstr(request, "client_secret="); got += more > 0 ? (size_t)more : 0) {
      more = recv(accepted, request + got, sizeof request - 1 - got, 0);
      request[got + (more > 0 ? (size_t)more : 0)] = '\0';
    }
    const char *answer = strstr(request, "client_secret=right") ? granted : refusal;
    CHECK(send(accepted, answer, strlen(answer), MSG_NOSIGNAL) > 0);
    close(accepted);

  }
}

static void mended(struct cell *cell) {
  const struct refusal *refusal = (const struct refusal *)cell->place;
  char url[96];
  begin(cell);
  int listening = listen_at(url, sizeof url);
  pid_t server = fork();
  if (server == 0) serve(listening, refusal->answer);
  const char *path = path_of("secret");
  write_text(path, "wrong");
  setenv("TRACKUNIT_TOKEN_URL", url, 1);
  client = client_of("client_secret_file", path, LONG_MS, NULL);
  CHECK(client != NULL);
  /* Long enough for a wait between two attempts that would be noticed. */
  for (double from = now_ms(); now_ms() - from < 8000; nap_ms(50)) CHECK(!get(SHORT_MS, 0));
  write_text(path, "right");
  recovers();
  release();
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  end();
}

/* ------------------------------------------------------------------------------------------- */

enum { ODDS = sizeof odds / sizeof *odds, OPTIONS = sizeof options / sizeof *options };

static struct cell cells[2 * ODDS * OPTIONS + 16];
static int made;

static void add(const char *row, const char *column, void (*play)(struct cell *), const void *fault,
                const void *place) {
  struct cell cell;
  memset(&cell, 0, sizeof cell);
  cell.row = row, cell.column = column, cell.play = play, cell.fault = fault, cell.place = place;
  cells[made++] = cell;
}

int main(int count, char **words) {
  static char rows[2 * ODDS][48];
  make_directory("odd-files");
  CHECK(clear_faults());
  int no_mount = can_mount_hanging();
  if (no_mount)
    printf("file systems that hang: left out, as none can be mounted on this machine: %s\n", strerror(no_mount));
  for (int i = 0; i < REFUSALS; i++) add(refusals[i].name, "client_secret_file", mended, NULL, &refusals[i]);
  for (int i = 0; i < ODDS; i++) {
    if (no_mount && (odds[i].make == is_on_hanging_mount || odds[i].make == hangs_when_read)) continue;
    snprintf(rows[2 * i], sizeof rows[0], "%s", odds[i].name);
    snprintf(rows[2 * i + 1], sizeof rows[0], "later %s", odds[i].name);
    for (int j = 0; j < OPTIONS; j++) {
      add(rows[2 * i], options[j].key, at_creation, &odds[i], &options[j]);
      add(rows[2 * i + 1], options[j].key, replaced, &odds[i], &options[j]);
    }
  }
  play_cells(cells, made, count > 1 ? words[1] : NULL, 20, 120000);
  remove_directory();
  return closing_line();
}
