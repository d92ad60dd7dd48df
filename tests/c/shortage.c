/*
 * A system that refuses new threads (ulimit -u), briefly or permanently: nothing crashes, every
 * accepted function is called once, every drop runs once, and everything works again once threads
 * can be started. Each scene is its own process, not run as root, which has no such limit.
 */
#include "client.h"
#include "emulator.h"
#include "process.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* SHORT_MS: long enough for the request to be sent before, also on a busy machine. */
enum { NOBODY = 65534, LONG_MS = 30000, SHORT_MS = 2000, MOMENT_MS = 100 };

/* --- the shortage ------------------------------------------------------------------------- */

static void *does_nothing(void *place) { return place; }

static void limit_threads(int is_short) {
  struct rlimit limit;
  getrlimit(RLIMIT_NPROC, &limit);
  limit.rlim_cur = is_short ? 1 : limit.rlim_max;
  CHECK(setrlimit(RLIMIT_NPROC, &limit) == 0);
}

static int can_start_a_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, does_nothing, NULL) != 0) return 0;
  pthread_join(thread, NULL);
  return 1;
}

static void shortage_begins(void) {
  limit_threads(1);
  CHECK(!can_start_a_thread());
}

static void shortage_ends(void) { limit_threads(0); }

/* --- clients and calls -------------------------------------------------------------------- */

static tu_client *client_of(const char *keep_warm) {
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "keep_warm", keep_warm);
  return made(config);
}

static int is_served(tu_client *client) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, NULL, &error);
  int is_good = token && tu_token_expires_in_ms(token) > 0;
  if (!token) fprintf(stderr, "%s\n", tu_error_message(error));
  tu_free(token);
  tu_free(error);
  return is_good;
}

static void check_no_thread(tu_error *error) {
  CHECK(tu_error_is_retryable(error));
  CHECK_ERROR(error, TU_INTERNAL, "no thread");
}

static void is_refused(tu_client *client) {
  tu_error *error = NULL;
  CHECK(tu_token_get(client, NULL, &error) == NULL);
  check_no_thread(error);
}

static tu_stats stats_of(tu_client *client) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  tu_client_stats(client, NULL, &stats, NULL);
  return stats;
}

struct call {
  int calls, drops;
  tu_status status;
  pthread_t thread;
};

static int now_of(int *number) { return __atomic_load_n(number, __ATOMIC_SEQ_CST); }

static void takes(void *place, tu_token *token, tu_error *error) {
  struct call *call = (struct call *)place;
  call->status = tu_error_status(error);
  call->thread = pthread_self();
  tu_free(token);
  tu_free(error);
  __atomic_add_fetch(&call->calls, 1, __ATOMIC_SEQ_CST);
}

static void drops(void *place) {
  __atomic_add_fetch(&((struct call *)place)->drops, 1, __ATOMIC_SEQ_CST);
}

static tu_status ask(tu_client *client, struct call *call, int64_t timeout_ms, tu_cancel *cancel,
                     tu_error **error) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  options.cancel = cancel;
  memset(call, 0, sizeof *call);
  return tu_token_get_async(client, &options, takes, call, drops, error);
}

static void until_dropped(struct call *call) {
  double from = now_ms();
  while (!now_of(&call->drops) && now_ms() - from < LONG_MS) nap_ms(1);
}

/* Called once and dropped once, on a library thread, with this status. */
static void check_answered(struct call *call, tu_status status) {
  until_dropped(call);
  nap_ms(50); /* for a second time */
  CHECK(now_of(&call->calls) == 1 && now_of(&call->drops) == 1);
  CHECK(call->status == status);
  CHECK(!pthread_equal(call->thread, pthread_self()));
}

/* --- scenes ------------------------------------------------------------------------------- */

static void a_warm_client_is_made_without_any_thread(void) {
  shortage_begins();
  tu_client *client = client_of("true");
  is_refused(client);
  tu_client_wake(client);
  CHECK(stats_of(client).requests == 0 && stats_of(client).failures == 0);
  shortage_ends();
  double from = now_ms();
  while (stats_of(client).state != TU_STATE_FRESH && now_ms() - from < LONG_MS) nap_ms(10);
  CHECK(stats_of(client).requests == 1);
  CHECK(is_served(client));
  tu_free(client);
}

/* A fork child has no library threads: the renewal of its parent's token cannot start one. */
static void a_renewal_comes_due_without_any_thread(void) {
  CHECK(set_fault("{\"route\":\"token\",\"expires_in\":2,\"count\":1}"));
  tu_client *client = client_of("true");
  CHECK(is_served(client));
  pid_t child = fork();
  if (child == 0) {
    checks_passed = checks_failed = 0;
    shortage_begins();
    while (stats_of(client).state == TU_STATE_FRESH) nap_ms(1);
    tu_error *error = NULL;
    tu_token *token = tu_token_get(client, NULL, &error);
    if (!token) check_no_thread(error); /* on a busy machine it may have expired */
    tu_free(token);
    CHECK(stats_of(client).failures == 0);
    shortage_ends();
    CHECK(is_served(client));
    tu_free(client);
    _exit(checks_failed != 0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  tu_free(client);
}

static void a_call_without_a_clock_is_not_accepted(void) {
  struct call call;
  tu_error *error = NULL;
  shortage_begins();
  tu_client *client = client_of("false");
  CHECK(ask(client, &call, 0, NULL, &error) == TU_INTERNAL);
  check_no_thread(error);
  CHECK(now_of(&call.calls) == 0 && now_of(&call.drops) == 1);
  shortage_ends();
  CHECK(is_served(client));
  shortage_begins();
  /* A cached token needs no thread. */
  CHECK(ask(client, &call, 0, NULL, NULL) == TU_OK);
  CHECK(now_of(&call.calls) == 1 && now_of(&call.drops) == 1 && call.status == TU_OK);
  shortage_ends();
  tu_free(client);
  client = client_of("false");
  CHECK(ask(client, &call, 0, NULL, NULL) == TU_OK);
  check_answered(&call, TU_OK);
  tu_free(client);
}

enum end { TIMES_OUT, IS_CANCELLED, IS_CLOSED, IS_FREED };
static enum end end;
static int for_ever;

/* A wait ends while its fetch holds the one thread there is. */
static void a_wait_ends_without_a_thread(void) {
  struct call call;
  tu_cancel *cancel = tu_cancel_new();
  tu_client *client = client_of("false");
  CHECK(set_fault("{\"route\":\"token\",\"delay\":\"60s\",\"count\":1}"));
  CHECK(ask(client, &call, end == TIMES_OUT ? SHORT_MS : LONG_MS, cancel, NULL) == TU_OK);
  while (stats_of(client).requests == 0) nap_ms(1);
  shortage_begins();
  if (end == IS_CANCELLED) tu_cancel_trigger(cancel);
  if (end == IS_CLOSED) tu_client_close(client);
  if (end == IS_FREED) tu_free(client);
  if (!for_ever) {
    nap_ms((end == TIMES_OUT ? SHORT_MS : 0) + MOMENT_MS);
    CHECK(now_of(&call.calls) == 0);
    shortage_ends();
  }
  const tu_status statuses[] = {TU_TIMEOUT, TU_CANCELLED, TU_CLOSED, TU_CLOSED};
  check_answered(&call, statuses[end]);
  shortage_ends();
  CHECK(clear_faults());
  if (end != IS_FREED) tu_free(client);
  tu_free(cancel);
}

/* Runs a scene in its own process, as a user to whom the limit applies. */
static void play(const char *name, void (*scene)(void)) {
  CHECK(clear_faults());
  pid_t child = fork();
  if (child == 0) {
    checks_passed = checks_failed = 0;
    alarm(240);
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) _exit(2);
    scene();
    _exit(checks_failed != 0);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  if (status != 0) fprintf(stderr, "FAILED %s: ended with status %d\n", name, status);
  CHECK(status == 0);
}

#define PLAY(scene) play(#scene, scene)

int main(void) {
  PLAY(a_warm_client_is_made_without_any_thread);
  PLAY(a_renewal_comes_due_without_any_thread);
  PLAY(a_call_without_a_clock_is_not_accepted);
  for (int which = TIMES_OUT; which <= IS_FREED; which++) {
    end = (enum end)which;
    for (for_ever = 0; for_ever <= 1; for_ever++) PLAY(a_wait_ends_without_a_thread);
  }
  return closing_line();
}
