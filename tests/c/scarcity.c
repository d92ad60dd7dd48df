/*
 * A table: no thread can be started, or no file or socket opened, for 0.1 s, for 5 s, or until the
 * calls have been answered; at each place where the library needs one. Each cell is its own process. Threads are
 * refused in place of pthread_create, and, where a cgroup can be made, by the kernel's pids limit.
 * In each of them
 * - a call returns within its own time limit, with a valid token or a retryable error; with the token
 *   whenever there is a valid one,
 * - each accepted function is called once, and each drop runs once, also those of a client,
 * - the process lives, and the library recovers once the shortage is over.
 * Usage: scarcity [PART OF A ROW'S OR COLUMN'S NAME]
 */
#include "calls.h"
#include "emulator.h"
#include "names.h"
#include "pids.h"
#include "places.h"
#include "scarce.h"

#include <sys/prctl.h>

/* A token lives for LIFE_S: soft from 3 to 4.5 s on, hard from 5.4 s on. */
enum { LIFE_S = 6 };

static struct shortage *shortage;

static int is_served(void) { return get(SHORT_MS, 0); }

/* --- the functions of a client ------------------------------------------------------------ */

static int events, event_drops, credential_calls, credential_drops, has_events, has_credentials;

static void hear(void *place, const tu_event *event) {
  (void)event;
  count_one((int *)place);
}

static bool supply(void *place, bool refused, tu_credentials *out) {
  (void)refused;
  count_one((int *)place);
  tu_credentials_set(out, getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET"));
  return true;
}

static void count_event_drop(void *place) { (void)place, count_one(&event_drops); }
static void count_credential_drop(void *place) { (void)place, count_one(&credential_drops); }

/* --- clients ------------------------------------------------------------------------------ */

struct option {
  const char *key, *value;
};

static void create(const struct option *options, int count_of_them) {
  tu_config *config = tu_config_new();
  tu_error *error = NULL;
  if (!has_credentials) tu_config_load_env(config);
  if (has_credentials) {
    tu_config_set(config, "token_url", getenv("TRACKUNIT_TOKEN_URL"));
    if (getenv("TRACKUNIT_CA_FILE")) tu_config_set(config, "ca_file", getenv("TRACKUNIT_CA_FILE"));
    tu_config_set(config, "scope", getenv("TRACKUNIT_SCOPE"));
    tu_config_on_credentials(config, supply, &credential_calls, count_credential_drop);
  }
  if (has_events) tu_config_on_event(config, hear, &events, count_event_drop);
  tu_config_set(config, "timeout", "400ms");
  for (int i = 0; i < count_of_them; i++) tu_config_set(config, options[i].key, options[i].value);
  double from = now_ms();
  client = tu_client_new(config, &error);
  /* At most its timeout for reading files, one after the other. */
  check_time(from, 2 * SHORT_MS);
  if (!client) {
    CHECK(error != NULL && *tu_error_message(error));
    note("creation", error);
  }
  tu_free(error);
  tu_free(config);
}

static void create_plain(void) { create(NULL, 0); }

static void create_warm(void) {
  struct option warm = {"keep_warm", "true"};
  create(&warm, 1);
}

static void create_with_events(void) {
  has_events = 1;
  create_plain();
}

static void create_with_function(void) {
  has_credentials = 1;
  create_plain();
}

static void create_with_file(void) {
  struct option secret = {"client_secret_file", path_of("secret")};
  create(&secret, 1);
}

static void create_stored(void) {
  char store[96];
  snprintf(store, sizeof store, "file:%s/store", directory);
  struct option stored = {"store", store};
  create(&stored, 1);
}

/* An endpoint that accepts connections and answers none. */
static void create_at_silence(void) {
  char url[96];
  listen_at(url, sizeof url);
  struct option silent = {"token_url", url};
  create(&silent, 1);
}

/* --- places: what is prepared, and what is done during the shortage ------------------------ */

static void nothing(void) {}

static void until_state(int state) {
  double from = now_ms();
  while (stats_of().state < state && now_ms() - from < LONG_MS) nap_ms(20);
}

static void served_once(void (*make)(void)) {
  make();
  until_served();
}

static void has_token(void) { served_once(create_plain); }
static void has_warm_token(void) { served_once(create_warm); }
static void has_stored_token(void) { served_once(create_stored); }
static void has_functions_token(void) { served_once(create_with_function); }
static void has_files_token(void) { served_once(create_with_file); }
static void has_events_token(void) { served_once(create_with_events); }

static void is_soft(void) { has_token(), until_state(TU_STATE_SOFT); }
static void is_expired(void) { has_token(), until_state(TU_STATE_EXPIRED); }
static void functions_is_soft(void) { has_functions_token(), until_state(TU_STATE_SOFT); }
static void files_is_soft(void) { has_files_token(), until_state(TU_STATE_SOFT); }
static void stored_is_soft(void) { has_stored_token(), until_state(TU_STATE_SOFT); }
static void events_is_soft(void) { has_events_token(), until_state(TU_STATE_SOFT); }

/* Another client's record is in the store. */
static void is_stored(void) {
  has_stored_token();
  tu_free(client);
  create_stored();
}

static void gets(void) {
  for (int i = 0; i < 3; i++) is_served();
}

static void gets_for_long(void) {
  double from = now_ms();
  while (now_ms() - from < 1500) is_served(), nap_ms(10);
}

static void does_not_wait(void) {
  for (int i = 0; i < 3; i++) get(TU_NO_WAIT, 0);
}

static void wants_a_long_one(void) {
  for (int i = 0; i < 3; i++) get(SHORT_MS, (LIFE_S - 1) * 1000);
}

static void asks(void) {
  for (int i = 0; i < 4; i++) ask(SHORT_MS, NULL);
}

static void asks_and_gets(void) { asks(), gets(); }

static void asks_and_cancels(void) {
  tu_cancel *cancel = tu_cancel_new();
  for (int i = 0; i < 4; i++) ask(LONG_MS, cancel);
  nap_ms(20);
  double from = now_ms();
  tu_cancel_trigger(cancel);
  check_time(from, 0);
  /* May be freed once the calls have returned. */
  tu_free(cancel);
}

static void asks_and_closes(void) {
  for (int i = 0; i < 4; i++) ask(LONG_MS, NULL);
  double from = now_ms();
  tu_client_close(client);
  check_time(from, 0);
}

static void asks_and_frees(void) {
  for (int i = 0; i < 4; i++) ask(LONG_MS, NULL);
  double from = now_ms();
  tu_free(client);
  check_time(from, 0);
  client = NULL;
}

static void uses_all_else(void) {
  double from = now_ms();
  tu_client_wake(client);
  tu_client_rotate(client, getenv("TRACKUNIT_CLIENT_ID"), getenv("TRACKUNIT_CLIENT_SECRET"), NULL);
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
  check_time(from, SHORT_MS);
  gets();
  stats_of();
}

/* Until the token is certainly soft. */
static void waits_for_the_alarm(void) {
  nap_ms(LIFE_S * 1000 * 4 / 5);
  gets();
}

static void gets_in_a_child(void) {
  pid_t child = fork();
  if (child == 0) {
    checks_passed = checks_failed = 0;
    gets();
    asks();
    all_are_answered(now_ms(), SHORT_MS + shortage->lasts_ms);
    shortage->set(0);
    until_served();
    tu_free(client);
    _exit(checks_failed != 0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  gets();
}

struct place {
  const char *name;
  void (*prepare)(void);
  void (*act)(void);
  /* In a fork child, which has no thread of the library's that is still idle. */
  int has_no_threads;
};

static const struct place places[] = {
    {"creation", nothing, create_plain, 0},
    {"creation, keep_warm", nothing, create_warm, 0},
    {"creation, secret in a file", nothing, create_with_file, 0},
    {"creation, store", nothing, create_stored, 0},
    {"cold get", create_plain, gets, 0},
    {"cold get, without waiting", create_plain, does_not_wait, 0},
    {"cold get, secret in a file", create_with_file, gets, 0},
    {"cold get, credentials function", create_with_function, gets, 0},
    {"cold get, store", create_stored, gets, 0},
    {"cold get, token in the store", is_stored, gets, 0},
    {"cold get, events", create_with_events, gets, 0},
    {"hits", has_token, gets_for_long, 0},
    {"soft renewal", is_soft, gets_for_long, 0},
    {"soft renewal, secret in a file", files_is_soft, gets_for_long, 0},
    {"soft renewal, credentials function", functions_is_soft, gets_for_long, 0},
    {"soft renewal, store", stored_is_soft, gets_for_long, 0},
    {"soft renewal, events", events_is_soft, gets_for_long, 0},
    {"min_ttl", is_soft, wants_a_long_one, 0},
    {"expired", is_expired, gets, 0},
    {"keep_warm, renewal comes due", has_warm_token, waits_for_the_alarm, 0},
    {"wait for a silent endpoint", create_at_silence, gets, 0},
    {"asynchronous, cold", create_plain, asks, 0},
    {"asynchronous, hit", has_token, asks, 0},
    {"asynchronous, soft", is_soft, asks_and_gets, 0},
    {"asynchronous, store", create_stored, asks_and_gets, 0},
    {"asynchronous, secret in a file", create_with_file, asks_and_gets, 0},
    {"asynchronous, events", create_with_events, asks_and_gets, 0},
    {"asynchronous, silent endpoint", create_at_silence, asks, 0},
    {"asynchronous, cancelled", create_at_silence, asks_and_cancels, 0},
    {"asynchronous, closed", create_at_silence, asks_and_closes, 0},
    {"asynchronous, freed", create_at_silence, asks_and_frees, 0},
    {"rotate, invalidate, wake", has_token, uses_all_else, 0},
    {"fork child, cold", create_plain, gets_in_a_child, 0},
    {"fork child, soft", is_soft, gets_in_a_child, 0},
    {"cold get, token in the store, no idle thread", is_stored, gets, 1},
    {"soft renewal, no idle thread", is_soft, gets_for_long, 1},
    {"soft renewal, secret in a file, no idle thread", files_is_soft, gets_for_long, 1},
    {"soft renewal, credentials function, no idle thread", functions_is_soft, gets_for_long, 1},
    {"soft renewal, store, no idle thread", stored_is_soft, gets_for_long, 1},
    {"soft renewal, events, no idle thread", events_is_soft, gets_for_long, 1},
    {"min_ttl, no idle thread", is_soft, wants_a_long_one, 1},
    {"expired, no idle thread", is_expired, gets, 1},
    {"keep_warm, renewal comes due, no idle thread", has_warm_token, waits_for_the_alarm, 1},
    {"asynchronous, soft, no idle thread", is_soft, asks_and_gets, 1},
};

enum { PLACES = sizeof places / sizeof *places };

/* --- cells --------------------------------------------------------------------------------- */

/* The first success after the shortage. A fetch that failed leaves its back-off, which is doubled with
 * each failure; one that could not start leaves nothing. */
static void recovers(int leaves_back_off) {
  double longest = 2.0 * (double)slack() + (leaves_back_off ? 2.0 * (double)shortage->lasts_ms + 8000 : 0);
  if (client && !strcmp(this_cell->column, "asynchronous, closed")) tu_free(client), client = NULL;
  int of_silence = strstr(this_cell->column, "silent") || !strcmp(this_cell->column, "asynchronous, cancelled");
  if (of_silence) tu_free(client), client = NULL;
  if (!client) has_events = has_credentials = 0, create_plain();
  CHECK(client != NULL);
  this_cell->figures->recovered_ms = until_served();
  CHECK(this_cell->figures->recovered_ms < longest);
  tu_free(client);
  client = NULL;
}

static void check_drops(int made_events, int made_credentials) {
  double from = now_ms();
  while ((event_drops < made_events || credential_drops < made_credentials) && now_ms() - from < LONG_MS)
    nap_ms(1);
  nap_ms(made_events || made_credentials ? 50 : 0);
  CHECK(now_of(&event_drops) == made_events);
  CHECK(now_of(&credential_drops) == made_credentials);
}

static void play(struct cell *cell) {
  const struct place *place = (const struct place *)cell->place;
  struct shortage own = *(const struct shortage *)cell->fault;
  this_cell = cell;
  shortage = &own;
  if (own.set == limit_pids) enter_pids_group(getppid());
  life_ms = LIFE_S * 1000;
  only_retryable = 1;
  enter_own_directory();
  write_text(path_of("secret"), getenv("TRACKUNIT_CLIENT_SECRET"));
  place->prepare();
  if (place->has_no_threads) {
    pid_t child = fork();
    if (child != 0) {
      int status = -1;
      CHECK(waitpid(child, &status, 0) == child && status == 0);
      return;
    }
    /* Ends with the cell if that is killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  shortage_is_near(&own);
  shortage_begins(&own);
  double from = now_ms();
  place->act();
  /* What was accepted without a thread is answered when there is one, at the latest. */
  all_are_answered(from, LONG_MS / 3);
  shortage_is_over(&own);
  /* It is not tried without end. */
  int refused = own.set == limit_pids ? pids_refused() : starts_refused;
  CHECK(refused < 2000);
  if (refused) snprintf(cell->figures->note, sizeof cell->figures->note, "%d starts refused", refused);
  int made_events = has_events, made_credentials = has_credentials;
  recovers(own.set == no_descriptors);
  check_drops(made_events, made_credentials);
  if (place->has_no_threads) _exit(checks_failed != 0);
}

static const struct {
  const char *name;
  void (*set)(int is_short);
  long lasts_ms;
} kinds[] = {
    {"no thread for 0.1 s", no_threads, 100},
    {"no thread for 5 s", no_threads, 5000},
    {"no thread until answered", no_threads, 0},
    {"no descriptor for 0.1 s", no_descriptors, 100},
    {"no descriptor for 5 s", no_descriptors, 5000},
    {"no descriptor until answered", no_descriptors, 0},
    {"pids limit for 0.1 s", limit_pids, 100},
    {"pids limit until answered", limit_pids, 0},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

int main(int count, char **words) {
  static struct shortage shortages[KINDS];
  static struct cell cells[KINDS * PLACES];
  int made = 0;
  make_directory("scarcity");
  CHECK(clear_faults());
  int has_pids = find_pids();
  if (!has_pids) printf("pids limit: left out, as no cgroup can be made on this machine\n");
  char fault[64];
  snprintf(fault, sizeof fault, "{\"route\":\"token\",\"expires_in\":%d}", LIFE_S);
  CHECK(set_fault(fault));
  for (int i = 0; i < KINDS; i++) {
    shortages[i].name = kinds[i].name;
    shortages[i].set = kinds[i].set;
    shortages[i].lasts_ms = kinds[i].lasts_ms;
    for (int j = 0; j < PLACES; j++) {
      /* There the limit refuses the cell's own child processes too. */
      int is_left_out = kinds[i].set == limit_pids && (!has_pids || places[j].act == gets_in_a_child);
      if (is_left_out) continue;
      cells[made].row = kinds[i].name;
      cells[made].column = places[j].name;
      cells[made].play = play;
      cells[made].fault = &shortages[i];
      cells[made].place = &places[j];
      made++;
    }
  }
  play_cells(cells, made, count > 1 ? words[1] : NULL, 140, 120000);
  remove_pids_groups();
  remove_directory();
  return closing_line();
}
