/*
 * What surrounds a process: a disk that is full; a working directory, a root directory or a user that
 * changes after the creation of a client; a standard error that cannot be written to. Each cell is its
 * own process; what holds for every call: calls.h. Usage: surroundings [PART OF A ROW'S NAME]
 */
#include "calls.h"
#include "client.h"
#include "emulator.h"
#include "names.h"
#include "places.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

enum { NOBODY = 65534 };

static int events_of_the_store;

static void begin(struct cell *cell) {
  this_cell = cell;
  enter_own_directory();
}

static void asks(void) {
  double from = now_ms();
  ask(SHORT_MS, NULL);
  all_are_answered(from, SHORT_MS);
}

static void not_tried(const char *why) {
  snprintf(this_cell->figures->note, sizeof this_cell->figures->note, "not tried: %s", why);
}

/* Exits as a program does, with all that is registered for that. */
static void end(void) { exit(checks_failed != 0); }

/* --- a full disk ----------------------------------------------------------------------------- */

/* Of the store's own. */
static int entries(const char *ending) {
  char command[200];
  int found = -1;
  snprintf(command, sizeof command, "ls %s/store | grep -c '^tu-token-[0-9a-f]*[.].*%s$'", directory, ending);
  FILE *counting = popen(command, "r");
  if (counting && fscanf(counting, "%d", &found) != 1) found = -1;
  if (counting) pclose(counting);
  return found;
}

static int comes_to(const char *ending, int number) {
  double from = now_ms();
  while (entries(ending) != number && now_ms() - from < LONG_MS) nap_ms(20);
  return entries(ending) == number;
}

/* Of other programs, with names like those of the store and old enough to be tidied away. */
static const char *const foreign[] = {"Cargo.lock", "letter.new", "api.token", "tu-token-notes.lock"};

static int foreign_files(void) {
  int found = 0;
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    char name[64];
    snprintf(name, sizeof name, "store/%s", foreign[i]);
    found += access(path_of(name), F_OK) == 0;
  }
  return found;
}

static void hear(void *user_data, const tu_event *event) {
  (void)user_data;
  if (event->kind == TU_EVENT_STORE && event->status != TU_OK) count_one(&events_of_the_store);
}

static void stored(void) {
  CHECK(mkdir(path_of("store"), 0700) == 0);
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
    char name[64];
    snprintf(name, sizeof name, "store/%s", foreign[i]);
    write_text(path_of(name), "");
    CHECK(utimensat(AT_FDCWD, path_of(name), old, 0) == 0);
  }
  char store[200];
  tu_config *config = tu_config_new();
  snprintf(store, sizeof store, "file:%s", path_of("store"));
  tu_config_load_env(config);
  tu_config_set(config, "store", store);
  tu_config_set(config, "store_timeout", "10s");
  tu_config_on_event(config, hear, NULL, NULL);
  client = tu_client_new(config, NULL);
  tu_free(config);
  CHECK(client != NULL);
}

static void no_record_but_tokens(void) {
  CHECK(get(LONG_MS, 0));
  CHECK(get_another(LONG_MS));
  double from = now_ms();
  while (!__atomic_load_n(&events_of_the_store, __ATOMIC_SEQ_CST) && now_ms() - from < LONG_MS) nap_ms(1);
  CHECK(events_of_the_store > 0);
  /* The second save may still be at work. */
  CHECK(comes_to("new", 0));
  CHECK(comes_to("token", 0));
}

static void a_record_again(void) {
  CHECK(get_another(LONG_MS));
  CHECK(comes_to("token", 1));
  CHECK(foreign_files() == sizeof foreign / sizeof *foreign);
  release();
  end();
}

static void disk_is_full(struct cell *cell) {
  begin(cell);
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", directory, "tmpfs", 0, "size=64k,mode=700") != 0) {
    not_tried("may not mount");
    end();
  }
  stored();
  if (system("true") == 0) {
    char filling[200];
    snprintf(filling, sizeof filling, "cat /dev/zero >%s/ballast 2>/dev/null", directory);
    CHECK(system(filling) != 0);
  }
  no_record_but_tokens();
  unlink(path_of("ballast"));
  a_record_again();
}

/* The signal for it would end the process. */
static void files_may_not_grow(struct cell *cell) {
  struct rlimit limit;
  begin(cell);
  stored();
  getrlimit(RLIMIT_FSIZE, &limit);
  rlim_t usual = limit.rlim_cur;
  limit.rlim_cur = 0;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  no_record_but_tokens();
  limit.rlim_cur = usual;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  a_record_again();
}

/* --- another directory, root or user --------------------------------------------------------- */

/* Every file by a relative path. */
static void create_relative(const char *url) {
  CHECK(chdir(directory) == 0);
  write_text("id", getenv("TRACKUNIT_CLIENT_ID"));
  write_text("secret", getenv("TRACKUNIT_CLIENT_SECRET"));
  tu_config *config = tu_config_new();
  tu_config_set(config, "client_id_file", "id");
  tu_config_set(config, "client_secret_file", "secret");
  tu_config_set(config, "scope", getenv("TRACKUNIT_SCOPE"));
  tu_config_set(config, "token_url", url);
  tu_config_set(config, "store", "file:store");
  /* On a busy machine, too, the files are read and a token is saved. */
  tu_config_set(config, "store_timeout", "10s");
  tu_config_set(config, "timeout", "10s");
  tu_config_set(config, "connect_timeout", "2s");
  if (!strncmp(url, "https", 5)) {
    copy_file(getenv("TRACKUNIT_CA_FILE"), "ca");
    copy_file(getenv("FRONT_CERT"), "cert");
    copy_file(getenv("FRONT_KEY"), "key");
    tu_config_set(config, "ca_file", "ca");
    tu_config_set(config, "client_cert_file", "cert");
    tu_config_set(config, "client_key_file", "key");
  }
  client = made(config);
  CHECK(get(LONG_MS, 0));
}

static const char *plain_url(void) {
  static char url[128];
  snprintf(url, sizeof url, "%s/token/v2", getenv("EMULATOR_URL"));
  return url;
}

static void elsewhere(struct cell *cell) {
  begin(cell);
  create_relative(getenv("TRACKUNIT_TOKEN_URL"));
  CHECK(chdir("/") == 0);
  CHECK(get_another(LONG_MS));
  asks();
  CHECK(comes_to("token", 1));
  release();
  end();
}

/* The cached token serves, and without TLS, which may find no file any more, there is another one. */
static void serves(struct cell *cell) {
  CHECK(get(SHORT_MS, 0));
  int there_is_one = get_another(cell->place ? 2000 : LONG_MS);
  if (!cell->place) CHECK(there_is_one);
  asks();
  release();
  end();
}

/* As the file that is named no longer exists there, the last good credentials serve. */
static void in_another_root(struct cell *cell) {
  begin(cell);
  create_relative(cell->place ? getenv("TRACKUNIT_TOKEN_URL") : plain_url());
  CHECK(mkdir("root", 0700) == 0);
  if (chroot("root") != 0) {
    not_tried("may not chroot");
    end();
  }
  CHECK(chdir("/") == 0);
  serves(cell);
}

static void as_another_user(struct cell *cell) {
  begin(cell);
  create_relative(cell->place ? getenv("TRACKUNIT_TOKEN_URL") : plain_url());
  if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0) {
    not_tried("may not change the user");
    end();
  }
  serves(cell);
}

/* --- standard error ------------------------------------------------------------------------- */

static int logs_as_it_is(void) {
  char store[200];
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "log", "info");
  snprintf(store, sizeof store, "file:%s", path_of("store"));
  tu_config_set(config, "store", store);
  client = tu_client_new(config, NULL);
  tu_free(config);
  int is_right = client && get(LONG_MS, 0) && get_another(LONG_MS) && get_another(LONG_MS);
  asks();
  release();
  nap_ms(100);
  return is_right;
}

static void logs_to(int descriptor) {
  int kept = dup(2);
  dup2(descriptor, 2);
  int is_right = logs_as_it_is();
  dup2(kept, 2);
  CHECK(is_right);
}

static void error_is_full(struct cell *cell) {
  begin(cell);
  logs_to(open("/dev/full", O_WRONLY));
  end();
}

static void error_is_a_broken_pipe(struct cell *cell) {
  int ends[2];
  begin(cell);
  CHECK(pipe(ends) == 0);
  close(ends[0]);
  logs_to(ends[1]);
  end();
}

static int is_heard;

static void hears_failure(void *user_data, tu_token *token, tu_error *error) {
  (void)user_data;
  tu_free(token);
  tu_free(error);
  __sync_fetch_and_add(&is_heard, 1);
}

/* The first connection then has the number of standard error. No line of the log may go to it. */
static void error_is_closed(struct cell *cell) {
  char url[128], received[16384];
  begin(cell);
  int listening = listen_at(url, sizeof url), kept = dup(2);
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "token_url", url);
  close(2);
  tu_client *silent = tu_client_new(config, NULL);
  tu_get_options call = TU_GET_OPTIONS_INIT;
  call.timeout_ms = LONG_MS;
  tu_token_get_async(silent, &call, hears_failure, NULL, NULL, NULL);
  /* Not before the library has connected: accepting takes a number at once. */
  struct pollfd connected = {listening, POLLIN, 0};
  CHECK(poll(&connected, 1, LONG_MS) == 1);
  int accepted = accept(listening, NULL, NULL);
  int is_right = logs_as_it_is();
  ssize_t got = recv(accepted, received, sizeof received - 1, 0);
  received[got > 0 ? got : 0] = '\0';
  close(listening);
  close(accepted);
  /* Until the library has closed its own. */
  for (double from = now_ms(); !is_heard && now_ms() - from < LONG_MS;) nap_ms(1);
  dup2(kept, 2);
  CHECK(is_right);
  CHECK(is_heard == 1);
  const char *body = strstr(received, "\r\n\r\n"), *more = body ? strchr(body + 4, '\n') : NULL;
  CHECK(body != NULL);
  if (more) fprintf(stderr, "sent besides the request:%s\n", more);
  CHECK(more == NULL);
  tu_free(silent);
  tu_free(config);
  end();
}

/* ------------------------------------------------------------------------------------------- */

static const struct {
  const char *row, *column;
  void (*play)(struct cell *);
  const char *place;
} table[] = {
    {"a full disk", "store", disk_is_full, NULL},
    {"files may not grow", "store", files_may_not_grow, NULL},
    {"chdir", "every file", elsewhere, NULL},
    {"chroot", "credentials, store", in_another_root, NULL},
    {"chroot", "every file", in_another_root, "tls"},
    {"setuid", "credentials, store", as_another_user, NULL},
    {"setuid", "every file", as_another_user, "tls"},
    {"stderr is /dev/full", "log", error_is_full, NULL},
    {"stderr is a broken pipe", "log", error_is_a_broken_pipe, NULL},
    {"stderr is closed", "log", error_is_closed, NULL},
};

enum { CELLS = sizeof table / sizeof *table };

int main(int count, char **words) {
  static struct cell cells[CELLS];
  make_directory("surroundings");
  CHECK(clear_faults());
  for (int i = 0; i < CELLS; i++) {
    cells[i].row = table[i].row;
    cells[i].column = table[i].column;
    cells[i].play = table[i].play;
    cells[i].place = table[i].place;
  }
  play_cells(cells, CELLS, count > 1 ? words[1] : NULL, CELLS, 120000);
  remove_directory();
  return closing_line();
}
