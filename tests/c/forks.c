/*
 * Children of a busy process. 4 threads get and renew tokens (2 s each) while the process forks again
 * and again. Every child must end, with a valid token of the emulator, checked against its API.
 * Usage: forks CHILDREN
 */
#include "check.h"
#include "emulator.h"
#include "process.h"

#include <signal.h>
#include <sys/wait.h>

/* Outcome of a child. Lost: it hung until its alarm, or was killed by another signal. */
enum { GOOD, NO_TOKEN, WRONG_TOKEN, LOST, OUTCOMES };

#define AT_A_TIME 16

static tu_client *client;
static volatile int done, failed_gets, wrong_tokens;
static int outcomes[OUTCOMES];

/* On a busy machine an answer may take longer than its token lives. */
static int is_late(const tu_error *error) {
  return strstr(tu_error_message(error), "expired before it arrived") != NULL;
}

/* Gets a token and shows it to the API. One that expires on the way is not wrong. */
static int show_token(const char *scope, long min_ttl_ms) {
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.scope = scope;
  options.min_ttl_ms = min_ttl_ms;
  for (int again = 0; again < 20; again++) {
    tu_error *error = NULL;
    tu_token *token = tu_token_get_with(client, &options, &error);
    if (!token && is_late(error)) {
      tu_free(error);
      continue;
    }
    if (!token) {
      fprintf(stderr, "FAILED get: %s\n", tu_error_message(error));
      tu_free(error);
      return NO_TOKEN;
    }
    int good = is_good(tu_token_header(token));
    int dead = tu_token_expires_in_ms(token) == 0;
    tu_free(token);
    if (good) return GOOD;
    if (!dead) break;
  }
  return WRONG_TOKEN;
}

/* The same with a token that this process must fetch itself. */
static int show_another_token(void) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
  return show_token(NULL, 0);
}

/* The first thread asks for a long remaining lifetime, so it renews every second; the second checks
 * the tokens against the API; the others only get. */
static void *keep_busy(void *number) {
  while (!done) {
    int outcome = GOOD;
    if (*(int *)number < 2) {
      outcome = show_token(NULL, *(int *)number == 0 ? 1900 : 0);
    } else {
      tu_error *error = NULL;
      tu_token *token = tu_token_get(client, NULL, &error);
      if (!token && !is_late(error)) outcome = NO_TOKEN;
      tu_free(token);
      tu_free(error);
    }
    if (outcome == NO_TOKEN) __sync_fetch_and_add(&failed_gets, 1);
    if (outcome == WRONG_TOKEN) __sync_fetch_and_add(&wrong_tokens, 1);
  }
  return NULL;
}

/* The children take turns: one uses the inherited token, one fetches, one exits without freeing, one
 * ends like a whole program, one forks again. */
static void child(int number) {
  alarm(60);
  int outcome = number % 5 == 1 ? show_another_token() : show_token(NULL, 0);
  if (number % 5 == 2) _exit(outcome);
  if (number % 5 == 3) exit(outcome);
  if (number % 5 == 4 && outcome == GOOD) {
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      _exit(show_another_token());
    }
    waitpid(pid, &status, 0);
    outcome = WIFEXITED(status) ? WEXITSTATUS(status) : LOST;
  }
  tu_free(client);
  _exit(outcome);
}

static void reap(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  int outcome = WIFEXITED(status) ? WEXITSTATUS(status) : LOST;
  CHECK(outcome >= 0 && outcome < OUTCOMES);
  outcomes[outcome < OUTCOMES ? outcome : LOST]++;
}

static void tell(const char *what) {
  printf("%s: %d good, %d without a token, %d with a wrong one, %d hung or killed\n", what, outcomes[GOOD],
         outcomes[NO_TOKEN], outcomes[WRONG_TOKEN], outcomes[LOST]);
  fflush(NULL); /* or children would print it again */
  CHECK(outcomes[NO_TOKEN] == 0);
  CHECK(outcomes[WRONG_TOKEN] == 0);
  CHECK(outcomes[LOST] == 0);
  memset(outcomes, 0, sizeof outcomes);
}

static void children_of_busy_threads(int children) {
  pthread_t threads[4];
  int numbers[4];
  pid_t *pids = (pid_t *)calloc((size_t)children, sizeof *pids);
  for (int i = 0; i < 4; i++) {
    numbers[i] = i;
    pthread_create(&threads[i], NULL, keep_busy, &numbers[i]);
  }
  fflush(NULL);
  for (int i = 0; i < children; i++) {
    pids[i] = fork();
    if (pids[i] == 0) child(i);
    CHECK(pids[i] > 0);
    /* A few at a time, so that the forks spread over several token lifetimes. */
    if (i >= AT_A_TIME) reap(pids[i - AT_A_TIME]);
    nap_ms(20);
  }
  for (int i = children < AT_A_TIME ? 0 : children - AT_A_TIME; i < children; i++) reap(pids[i]);
  done = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  free(pids);
  long requests = requests_to("token");
  printf("the parent: %d failed gets, %d wrong tokens; %ld token requests in all\n", failed_gets,
         wrong_tokens, requests);
  CHECK(failed_gets == 0);
  CHECK(wrong_tokens == 0);
  /* Every fifth child fetches, and so does the child of every fifth one. */
  CHECK(requests > children / 5 * 2);
  tell("children of 4 busy threads");
}

static void *wait_in_vain(void *outcome) {
  *(int *)outcome = show_token("site.view asset.view", 0);
  return NULL;
}

static void *fork_children(void *unused) {
  for (int i = 0; i < 10; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      _exit(show_token("site.view asset.view", 0));
    }
    reap(pid);
  }
  return unused;
}

static int is_fresh(void) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  return tu_client_stats(client, NULL, &stats, NULL) == TU_OK && stats.state == TU_STATE_FRESH;
}

/* A child neither joins nor is blocked by the hanging fetch that its parent waits for. */
static void children_of_a_hanging_fetch(void) {
  pthread_t waiting, forking;
  int outcome = -1;
  CHECK(clear_faults());
  /* The request of a renewal that the threads above have left would get the delay below. */
  for (double from = now_ms(); !is_fresh() && now_ms() - from < 30000; nap_ms(1)) tu_free(tu_token_get(client, NULL, NULL));
  CHECK(is_fresh());
  long before = requests_to("token");
  CHECK(set_fault("[{\"delay\":\"60s\",\"count\":1}]"));
  pthread_create(&waiting, NULL, wait_in_vain, &outcome);
  while (requests_to("token") == before) nap_ms(1);
  pthread_create(&forking, NULL, fork_children, NULL);
  pthread_join(forking, NULL);
  CHECK(outcome == -1); /* the parent still waits */
  CHECK(clear_faults());
  pthread_join(waiting, NULL);
  CHECK(outcome == GOOD);
  tell("children during a hanging fetch");
}

static void hear(void *user_data, const tu_event *event) { (void)user_data, (void)event; }

/* A keep_warm client renews and emits a fork event in a child, unless the child only closes it. */
static void a_child_that_closes_starts_nothing(void) {
  int status = -1;
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "keep_warm", "true");
  tu_config_on_event(config, hear, NULL, NULL);
  tu_client *warm = tu_client_new(config, NULL);
  tu_free(config);
  tu_free(tu_token_get(warm, NULL, NULL));
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    tu_client_close(warm);
    int closed = threads_now();
    tu_free(warm);
    _exit(closed == 1 && threads_now() == 1 ? GOOD : LOST);
  }
  waitpid(pid, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == GOOD);
  tu_free(warm);
}

int main(int count, char **words) {
  alarm(300); /* children have alarms of their own */
  tu_config *config = tu_config_new();
  tu_config_load_env(config);
  tu_config_set(config, "request_timeout", "60s");
  tu_config_set(config, "fetch_timeout", "60s");
  tu_config_set(config, "timeout", "60s");
  client = tu_client_new(config, NULL);
  tu_free(config);
  CHECK(client != NULL);
  a_child_that_closes_starts_nothing();
  CHECK(set_fault("{\"expires_in\":2}"));
  children_of_busy_threads(count > 1 ? atoi(words[1]) : 200);
  children_of_a_hanging_fetch();
  tu_free(client);
  return closing_line();
}
