/*
 * Functions of the program and endpoints that are slow, inconsistent or many: a credentials function that takes
 * seconds or returns another secret at each call, answer and event functions that block, an endpoint that freezes or
 * rate-limits many scopes. Each cell is its own process; what holds for every call:
 * calls.h. The endpoints are the test's own. Usage: slow_parts [PART OF A ROW'S NAME]
 */
#include "calls.h"
#include "client.h"
#include "endpoint.h"

enum { MANY = 70, CALLERS = 8, ANSWERS = 16, BUSY_MS = 2500 };

static struct endpoint endpoint;

#define GRANTED(life) \
  JSON_REPLY("200 OK", "", "{\"access_token\":\"granted\",\"token_type\":\"Bearer\",\"expires_in\":" life "}")

static struct reply grants(const char *request, int before) {
  (void)request, (void)before;
  struct reply reply = {GRANTED("1200"), 0};
  return reply;
}

struct option {
  const char *key, *value;
};

static tu_config *config_of(const struct endpoint *of, const struct option *options) {
  tu_config *config = tu_config_new();
  tu_config_set(config, "token_url", of->url);
  tu_config_set(config, "client_id", "id");
  tu_config_set(config, "client_secret", "a secret");
  tu_config_set(config, "scope", "a");
  for (; options && options->key; options++) tu_config_set(config, options->key, options->value);
  return config;
}

static void begin(struct cell *cell, struct reply (*reply)(const char *, int), const struct option *options) {
  this_cell = cell;
  endpoint_begins(&endpoint, reply);
  client = made(config_of(&endpoint, options));
}

static void end(void) {
  release();
  endpoint_ends(&endpoint);
  exit(checks_failed != 0);
}

static tu_token *get_scope(const char *scope, long timeout_ms, tu_error **error) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.scope = scope;
  options.timeout_ms = timeout_ms;
  double from = now_ms();
  tu_token *token = tu_token_get_with(client, &options, error);
  check_time(from, timeout_ms);
  return token;
}

/* --- credentials functions --------------------------------------------------------------------- */

static int supplied;
static long supplying_takes_ms;

static bool supplies_another(void *place, bool refused, tu_credentials *out) {
  char secret[32];
  (void)place, (void)refused;
  count_one(&supplied);
  nap_ms(supplying_takes_ms);
  snprintf(secret, sizeof secret, "secret number %d", now_of(&supplied));
  tu_credentials_set(out, "id", secret);
  return true;
}

static void begin_with_function(struct cell *cell, struct reply (*reply)(const char *, int),
                                const struct option *options) {
  this_cell = cell;
  endpoint_begins(&endpoint, reply);
  tu_config *config = tu_config_new();
  tu_config_set(config, "token_url", endpoint.url);
  tu_config_set(config, "scope", "a");
  for (; options && options->key; options++) tu_config_set(config, options->key, options->value);
  tu_config_on_credentials(config, supplies_another, NULL, NULL);
  client = made(config);
}

static struct reply refuses(const char *request, int before) {
  (void)request, (void)before;
  struct reply reply = {JSON_REPLY("401 Unauthorized", "", "{\"error\":\"invalid_client\"}"), 0};
  return reply;
}

static void *gets_refused(void *scope) {
  for (double from = now_ms(); now_ms() - from < 2000; nap_ms(20)) {
    tu_error *error = NULL;
    CHECK(get_scope((const char *)scope, LONG_MS, &error) == NULL);
    CHECK_ERROR(error, TU_INVALID_CLIENT, "refused");
  }
  return NULL;
}

/* All of its secrets are refused. The client tries one other secret, and then remembers the refusal. */
static void another_secret_each_time(struct cell *cell) {
  static char scopes[CALLERS][2];
  pthread_t callers[CALLERS];
  begin_with_function(cell, refuses, NULL);
  for (int i = 0; i < CALLERS; i++) {
    scopes[i][0] = (char)('a' + i);
    pthread_create(&callers[i], NULL, gets_refused, scopes[i]);
  }
  for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
  snprintf(cell->figures->note, sizeof cell->figures->note, "%d requests", requests_of(&endpoint));
  /* One of each at first, and one with the next secret. */
  CHECK(requests_of(&endpoint) <= CALLERS + 4);
  end();
}

/* Its time does not count against fetch_timeout. */
static void slower_than_a_fetch(struct cell *cell) {
  static const struct option options[] = {{"fetch_timeout", "1s"}, {NULL, NULL}};
  supplying_takes_ms = 3000;
  begin_with_function(cell, grants, options);
  CHECK(get(LONG_MS, 0));
  end();
}

static void slower_than_a_call(struct cell *cell) {
  supplying_takes_ms = 10 * SHORT_MS;
  begin_with_function(cell, grants, NULL);
  tu_error *error = NULL;
  CHECK(get_scope(NULL, SHORT_MS, &error) == NULL);
  CHECK_ERROR(error, TU_TIMEOUT, "credentials");
  CHECK(get(LONG_MS, 0));
  end();
}

/* --- the endpoint ------------------------------------------------------------------------------ */

static struct reply grants_briefly(const char *request, int before) {
  struct reply reply = {GRANTED("6"), 0};
  (void)request, (void)before;
  return reply;
}

static volatile int done;

/* Each call's timeout is longer than the freeze. */
static void *calls_on(void *unused) {
  while (!done) {
    CHECK(get(LONG_MS, 0));
    nap_ms(20);
  }
  return unused;
}

/* When the endpoint continues, the renewal's token has already expired. Its callers wait for the next attempt. */
static void freezes(struct cell *cell) {
  static const struct option options[] = {{"request_timeout", "20s"}, {"fetch_timeout", "25s"}, {NULL, NULL}};
  pthread_t callers[CALLERS];
  begin(cell, grants_briefly, options);
  life_ms = 6000;
  CHECK(get(LONG_MS, 0));
  kill(endpoint.process, SIGSTOP);
  for (int i = 0; i < CALLERS; i++) pthread_create(&callers[i], NULL, calls_on, NULL);
  nap_ms(12000);
  kill(endpoint.process, SIGCONT);
  cell->figures->recovered_ms = until_served();
  nap_ms(500);
  done = 1;
  for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
  end();
}

static struct reply renews_slowly(const char *request, int before) {
  struct reply reply = {GRANTED("6"), before == 0 ? 0 : 1500};
  (void)request;
  return reply;
}

static void *gets_once(void *unused) {
  CHECK(get(LONG_MS, 0));
  return unused;
}

/* In the hard window, callers wait for the renewal until half of the rest of the token's life is
 * over. One whose token is dropped meanwhile waits longer. */
static void dropped_meanwhile(struct cell *cell) {
  pthread_t waiting;
  begin(cell, renews_slowly, NULL);
  life_ms = 6000;
  CHECK(get(LONG_MS, 0));
  tu_token *token = tu_token_get(client, NULL, NULL);
  for (double from = now_ms(); stats_of().state < TU_STATE_HARD && now_ms() - from < LONG_MS;) nap_ms(5);
  pthread_create(&waiting, NULL, gets_once, NULL);
  nap_ms(50);
  tu_client_invalidate(client, token);
  pthread_join(waiting, NULL);
  tu_free(token);
  end();
}

static struct reply asks_to_slow_down(const char *request, int before) {
  (void)request, (void)before;
  struct reply reply = {JSON_REPLY("429 Too Many Requests", "Retry-After: 8\r\n", "{}"), 700};
  return reply;
}

/* Fetches that wait for one endpoint do not delay those of another. */
static void holds_back_many(struct cell *cell) {
  struct endpoint sound;
  static struct call waits[MANY];
  begin(cell, asks_to_slow_down, NULL);
  endpoint_begins(&sound, grants);
  tu_client *held_back = client;
  for (int i = 0; i < MANY; i++) {
    char scope[16];
    tu_get_options options = TU_GET_OPTIONS_INIT;
    snprintf(scope, sizeof scope, "scope%d", i);
    options.scope = scope;
    options.timeout_ms = LONG_MS;
    CHECK(tu_token_get_async(held_back, &options, takes, &waits[i], drops, NULL) == TU_OK);
  }
  /* By then each request has been answered. */
  nap_ms(2000);
  client = made(config_of(&sound, NULL));
  CHECK(get(SHORT_MS * 10, 0));
  release();
  client = held_back;
  endpoint_ends(&sound);
  end();
}

static struct reply says_zero(const char *request, int before) {
  (void)request, (void)before;
  struct reply reply = {JSON_REPLY("429 Too Many Requests", "Retry-After: 0\r\n", "{}"), 0};
  return reply;
}

/* A trial that took longer says nothing: the pause may have ended. */
enum { TRIAL_MS = 80, TOO_LATE = -1 };

/* Whether the second scope's request is made although the first one's reply has just asked to slow down. */
static int hurries(void) {
  static const char *const scopes[] = {"a", "b"};
  struct call waits[2];
  memset(waits, 0, sizeof waits);
  client = made(config_of(&endpoint, NULL));
  int before = requests_of(&endpoint);
  double from = now_ms();
  for (int i = 0; i < 2; i++) {
    tu_get_options options = TU_GET_OPTIONS_INIT;
    options.scope = scopes[i];
    options.timeout_ms = LONG_MS;
    CHECK(tu_token_get_async(client, &options, takes, &waits[i], drops, NULL) == TU_OK);
    if (i > 0) continue;
    while (requests_of(&endpoint) == before && now_ms() - from < LONG_MS) nap_ms(1);
    nap_ms(5);
    before = requests_of(&endpoint);
  }
  nap_ms(15);
  int has_hurried = requests_of(&endpoint) > before;
  if (now_ms() - from > TRIAL_MS) has_hurried = TOO_LATE;
  release();
  while (now_of(&waits[0].drops) + now_of(&waits[1].drops) < 2) nap_ms(1);
  return has_hurried;
}

/* The first such reply holds back all scopes of the client, for up to 250 ms. */
static void retry_after_zero(struct cell *cell) {
  enum { CLIENTS = 40, ENOUGH = 20 };
  int hurried = 0, clients = 0;
  this_cell = cell;
  endpoint_begins(&endpoint, says_zero);
  for (double from = now_ms(); clients < CLIENTS && now_ms() - from < LONG_MS;) {
    int has_hurried = hurries();
    if (has_hurried == TOO_LATE) continue;
    hurried += has_hurried;
    clients++;
  }
  snprintf(cell->figures->note, sizeof cell->figures->note, "%d of %d hurried", hurried, clients);
  /* The pause is random, up to 250 ms, and some pauses are shorter than the test waits. */
  CHECK(clients < ENOUGH || hurried < clients * 2 / 3);
  endpoint_ends(&endpoint);
  exit(checks_failed != 0);
}

/* --- answer and event functions ------------------------------------------------------------------ */

static struct reply grants_for_a_moment(const char *request, int before) {
  (void)request;
  struct reply reply = {GRANTED("1"), before == 0 ? 650 : 0};
  return reply;
}

static int answered;
static double deadest_ms;

static void blocks(void *place, tu_token *token, tu_error *error) {
  struct timespec now;
  (void)place;
  clock_gettime(CLOCK_REALTIME, &now);
  if (token) {
    double over = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 - (double)tu_token_expires_at_ms(token);
    if (over > deadest_ms) deadest_ms = over;
  }
  CHECK(token != NULL);
  tu_free(token);
  tu_free(error);
  nap_ms(BUSY_MS);
  count_one(&answered);
}

/* Those behind one that blocks are called on other threads, 100 ms later each, and behind eight when one of them has
 * ended: by then the token, which arrives with 350 ms to live, has expired, and the later ones get another. */
static void answers_block(struct cell *cell) {
  begin(cell, grants_for_a_moment, NULL);
  for (int i = 0; i < ANSWERS; i++) {
    tu_get_options options = TU_GET_OPTIONS_INIT;
    options.timeout_ms = LONG_MS;
    CHECK(tu_token_get_async(client, &options, blocks, NULL, NULL, NULL) == TU_OK);
  }
  for (double from = now_ms(); now_of(&answered) < ANSWERS && now_ms() - from < LONG_MS;) nap_ms(5);
  CHECK(now_of(&answered) == ANSWERS);
  snprintf(cell->figures->note, sizeof cell->figures->note, "a token %.0f ms after its end", deadest_ms);
  /* A busy machine may pause the thread between the check and the function. Unchecked, it would be two seconds. */
  CHECK(deadest_ms < 500);
  end();
}

enum { EVENTS = 3000, KEPT = 1024 };
static int heard, heard_before_last_loss, lost_events;
static volatile int may_hear;

static void hears_slowly(void *place, const tu_event *event) {
  const char *loss = strstr(event->message, " (");
  (void)place;
  for (double from = now_ms(); !may_hear && now_ms() - from < LONG_MS;) nap_ms(1);
  if (loss && strstr(loss, "were lost")) {
    heard_before_last_loss = now_of(&heard);
    __atomic_add_fetch(&lost_events, atoi(loss + 2), __ATOMIC_SEQ_CST);
  }
  count_one(&heard);
}

/* A loss is reported where it occurred: with the first event after it. On a busy machine there are two: some events
 * are lost before the event function is called for the first time. */
static void events_pile_up(struct cell *cell) {
  this_cell = cell;
  endpoint_begins(&endpoint, grants);
  tu_config *config = config_of(&endpoint, NULL);
  tu_config_on_event(config, hears_slowly, NULL, NULL);
  client = made(config);
  for (int i = 0; i < EVENTS; i++) CHECK(tu_client_rotate(client, "id", "another secret", NULL) == TU_OK);
  may_hear = 1;
  for (double from = now_ms(); now_of(&heard) < KEPT && now_ms() - from < LONG_MS;) nap_ms(5);
  CHECK(tu_client_rotate(client, "id", "a last secret", NULL) == TU_OK);
  for (double from = now_ms(); now_of(&heard) + now_of(&lost_events) <= EVENTS && now_ms() - from < LONG_MS;) nap_ms(5);
  nap_ms(50); /* for one too many */
  snprintf(cell->figures->note, sizeof cell->figures->note, "%d lost after %d", lost_events, heard_before_last_loss);
  CHECK(lost_events > 0 && heard_before_last_loss == now_of(&heard) - 1);
  CHECK(now_of(&heard) + lost_events == EVENTS + 1);
  end();
}

/* Alarms for the same purpose replace each other. */
static void wakes_often(struct cell *cell) {
  static const struct option options[] = {{"keep_warm", "true"}, {NULL, NULL}};
  begin(cell, grants, options);
  CHECK(get(LONG_MS, 0));
  for (int i = 0; i < 1000; i++) tu_client_wake(client);
  long before = heap_now();
  for (int i = 0; i < 30000; i++) tu_client_wake(client);
  long more = heap_now() - before;
  snprintf(cell->figures->note, sizeof cell->figures->note, "%ld KiB more", more / 1024);
  CHECK(more < 512 * 1024);
  end();
}

/* ------------------------------------------------------------------------------------------- */

static const struct {
  const char *row, *column;
  void (*play)(struct cell *);
} table[] = {
    {"credentials function", "another secret at each call", another_secret_each_time},
    {"credentials function", "slower than fetch_timeout", slower_than_a_fetch},
    {"credentials function", "slower than the call", slower_than_a_call},
    {"endpoint", "frozen for longer than its tokens live", freezes},
    {"endpoint", "slow, and the token is dropped meanwhile", dropped_meanwhile},
    {"endpoint", "429 to 70 scopes, beside another endpoint", holds_back_many},
    {"endpoint", "Retry-After: 0, and another scope", retry_after_zero},
    {"answer functions", "each blocks, and the token expires", answers_block},
    {"event function", "slower than the events come", events_pile_up},
    {"keep_warm", "30,000 times wake", wakes_often},
};

enum { CELLS = sizeof table / sizeof *table };

int main(int count, char **words) {
  static struct cell cells[CELLS];
  for (int i = 0; i < CELLS; i++) {
    cells[i].row = table[i].row;
    cells[i].column = table[i].column;
    cells[i].play = table[i].play;
  }
  play_cells(cells, CELLS, count > 1 ? words[1] : NULL, CELLS, 60000);
  return closing_line();
}
