/*
 * Forks at random points of a program that resolves names, fetches over TLS, waits, shares tokens in a
 * file store, creates and closes clients: from an ordinary thread, from a signal handler that
 * interrupts calls, from a thread of real-time priority, and by posix_spawn. Each child gets a token,
 * closes and exits; one that hangs is shown with its stacks. The points are drawn from a seed, which
 * is printed if anything fails. Usage: random_forks FORKS [SEED]
 */
#include "cells.h"
#include "emulator.h"
#include "names.h"
#include "places.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>

enum { AT_A_TIME = 24, HANGS_MS = 45000, LIFE_S = 3, LONG_LIFE_S = 1000000, LONGEST_FORK_MS = 1000 };

/* How a process begins. */
enum { PLAIN, IN_HANDLER, REALTIME, SPAWNED, WAYS };
static const char *const ways[WAYS] = {"fork", "in a signal handler", "by a real-time thread", "posix_spawn"};

/* What a child does first. */
enum { USES_CACHED, FETCHES, FETCHES_OTHER, USES_STORE, ASKS, CREATES, FORKS_AGAIN, ACTS };
/* Of 20 children. */
static const int shares[ACTS] = {8, 2, 3, 2, 2, 2, 1};

static tu_client *shared, *stored, *silent;
/* Its token outlives the program and is never dropped, so calls for it allocate nothing. */
static tu_client *steady;
static volatile int done, failed_gets;

/* --- chance --------------------------------------------------------------------------------- */

static unsigned long long seed;

static unsigned drawn(unsigned below) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (unsigned)(seed >> 33) % below;
}

static int drawn_by_shares(const int *of, int count) {
  int sum = 0, which = 0;
  for (int i = 0; i < count; i++) sum += of[i];
  for (int left = (int)drawn((unsigned)sum); left >= of[which]; which++) left -= of[which];
  return which;
}

/* --- clients -------------------------------------------------------------------------------- */

static void hear(void *user_data, const tu_event *event) { (void)user_data, (void)event; }

static tu_client *client_of(const char *key, const char *value) {
  tu_config *config = tu_config_new();
  tu_error *error = NULL;
  tu_config_load_env(config);
  tu_config_set(config, "connect_timeout", "1s");
  tu_config_set(config, "max_requests_per_minute", "1000000");
  tu_config_on_event(config, hear, NULL, NULL);
  if (key) tu_config_set(config, key, value);
  tu_client *client = tu_client_new(config, &error);
  if (!client) fprintf(stderr, "%s\n", tu_error_message(error));
  tu_free(error);
  tu_free(config);
  return client;
}

static tu_client *stored_client(void) {
  char store[96];
  snprintf(store, sizeof store, "file:%s/store", directory);
  return client_of("store", store);
}

/* Whether there was a valid token; every eighth process shows its tokens to the API. On a busy machine an
 * answer may take longer than its token lives: that is no fault of the library, and asked again. */
static int is_served(tu_client *client, const char *scope) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, scope, &error);
  for (int more = 10; !token && more > 0 && strstr(tu_error_message(error), "expired before it arrived"); more--) {
    tu_free(error);
    nap_ms(1000);
    token = tu_token_get(client, scope, &error);
  }
  int good = token != NULL;
  if (!token) fprintf(stderr, "FAILED get: %s\n", tu_error_message(error));
  if (token && (getpid() & 7) == 0)
    good = is_good(tu_token_header(token)) || tu_token_expires_in_ms(token) == 0;
  if (token && !good) fprintf(stderr, "FAILED get: a token that the API refuses\n");
  tu_free(token);
  tu_free(error);
  return good;
}

static void drop_token(tu_client *client) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
}

struct answer {
  volatile int is_there, is_good;
};

static void takes(void *place, tu_token *token, tu_error *error) {
  ((struct answer *)place)->is_good = token != NULL;
  tu_free(token);
  tu_free(error);
}

static void is_dropped(void *place) { __sync_lock_test_and_set(&((struct answer *)place)->is_there, 1); }

static struct answer asked(tu_client *client, long timeout_ms, tu_cancel *cancel) {
  struct answer answer = {0, 0};
  tu_get_options options = TU_GET_OPTIONS_INIT;
  options.timeout_ms = timeout_ms;
  options.cancel = cancel;
  tu_token_get_async(client, &options, takes, &answer, is_dropped, NULL);
  if (cancel && timeout_ms % 2) tu_cancel_trigger(cancel);
  while (!answer.is_there) nap_ms(1);
  return answer;
}

/* --- what the program does meanwhile -------------------------------------------------------- */

static void count_failure(int is_right) {
  if (!is_right) __sync_fetch_and_add(&failed_gets, 1);
}

static void *renews(void *unused) {
  for (int turn = 0; !done; turn++) {
    if (turn % 4 == 0) drop_token(shared);
    count_failure(is_served(shared, turn % 2 ? NULL : "site.view asset.view"));
    if (turn % 16 == 8) tu_client_wake(shared);
    /* Longer than a fork waits for it, now and then. */
    names_take_ms = turn % 16 == 0 ? 80 : turn % 3;
    nap_ms(1);
  }
  return unused;
}

static void *creates_and_closes(void *unused) {
  for (int turn = 0; !done; turn++) {
    tu_client *client = stored_client();
    count_failure(is_served(client, NULL));
    if (turn % 2) tu_client_close(client);
    tu_free(client);
    count_failure(is_served(stored, NULL));
    if (turn % 8 == 0) drop_token(stored);
    nap_ms(2);
  }
  return unused;
}

static void *waits(void *unused) {
  for (int turn = 0; !done; turn++) {
    tu_cancel *cancel = tu_cancel_new();
    asked(silent, 5 + turn % 20, cancel);
    tu_free(cancel);
  }
  return unused;
}

/* Look-ups that the library does not know of. */
static void *resolves(void *unused) {
  for (int turn = 0; !done; turn++) {
    struct addrinfo *found = NULL;
    if (getaddrinfo(turn % 8 ? "localhost" : "foreign.test", "80", NULL, &found) == 0) freeaddrinfo(found);
    nap_ms(2);
  }
  return unused;
}

/* --- a child -------------------------------------------------------------------------------- */

static int ends_well(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int acts(int act) {
  switch (act) {
    case FETCHES: drop_token(shared); return is_served(shared, NULL);
    case FETCHES_OTHER: return is_served(shared, "asset.view scope1");
    case USES_STORE: return is_served(stored, NULL);
    case ASKS: return asked(shared, 20000, NULL).is_good;
    case CREATES: {
      tu_client *client = stored_client();
      int good = is_served(client, NULL);
      tu_free(client);
      return good;
    }
    case FORKS_AGAIN: {
      pid_t child = fork();
      if (child == 0) _exit(!acts(FETCHES_OTHER));
      return ends_well(child);
    }
    default: return is_served(shared, NULL);
  }
}

static void child(int act, unsigned ending, int is_handler) {
  int good = acts(act);
  if (ending % 2) tu_client_close(shared);
  if (ending % 4 == 1 && !is_handler) tu_free(silent), tu_free(stored), tu_free(shared);
  if (ending % 3 == 1 && !is_handler) exit(!good);
  _exit(!good);
}

/* --- ways to fork --------------------------------------------------------------------------- */

static volatile int next_act, handlers_child, is_near;
static volatile unsigned next_ending;
static sem_t realtime_wanted, forked;
static double longest_fork_ms;
static pthread_t caller, realtime;
static int is_realtime;

static pid_t fork_child(int is_handler) {
  int act = next_act;
  unsigned ending = next_ending;
  double began = now_ms();
  pid_t pid = fork();
  if (pid == 0) child(act, ending, is_handler);
  double took = now_ms() - began;
  if (took > longest_fork_ms) longest_fork_ms = took;
  return pid;
}

static void on_signal(int number) {
  int before = errno;
  (void)number;
  handlers_child = fork_child(1);
  sem_post(&forked);
  errno = before;
}

/* Without a pause when a signal is near. Only calls that do not allocate: a fork in a handler that
 * interrupts the C library's allocator waits forever for the lock its own thread holds. */
static void *calls(void *unused) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
  for (int turn = 0; !done; turn++) {
    char bearer[4096];
    size_t length;
    tu_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    if (turn % 8 == 0) tu_token_copy(steady, NULL, bearer, sizeof bearer, &length, NULL);
    else tu_client_stats(steady, NULL, &stats, NULL);
    while (!is_near && !done) nap_ms(1);
  }
  return unused;
}

static void *forks_in_time(void *unused) {
  while (sem_wait(&realtime_wanted) == 0 && !done) {
    handlers_child = fork_child(0);
    sem_post(&forked);
  }
  return unused;
}

static pid_t spawned(const char *program) {
  extern char **environ;
  char path[96], name[256], *words[4];
  snprintf(path, sizeof path, "%s", directory);
  snprintf(name, sizeof name, "%s", program);
  words[0] = name, words[1] = (char *)"child", words[2] = path, words[3] = NULL;
  pid_t pid = -1;
  return posix_spawn(&pid, program, NULL, NULL, words, environ) == 0 ? pid : -1;
}

static pid_t begin(int way, const char *program) {
  next_act = drawn_by_shares(shares, ACTS);
  next_ending = drawn(12);
  switch (way) {
    case SPAWNED: return spawned(program);
    case IN_HANDLER: {
      struct timespec pause = {0, 1000000 + (long)drawn(500) * 1000};
      is_near = 1;
      nanosleep(&pause, NULL);
      pthread_kill(caller, SIGUSR1);
      break;
    }
    case REALTIME: sem_post(&realtime_wanted); break;
    default: return fork_child(0);
  }
  while (sem_wait(&forked) != 0) continue;
  is_near = 0;
  return handlers_child;
}

/* --- the table of children ------------------------------------------------------------------ */

struct born {
  pid_t pid;
  double at_ms;
  int way, act;
};

static struct born living[AT_A_TIME];
static int begun[WAYS], hung, killed, without_token;

static void has_ended(struct born *born, int status) {
  if (!WIFEXITED(status)) killed++;
  else if (WEXITSTATUS(status) != 0) without_token++;
  if (status != 0)
    fprintf(stderr, "FAILED child (%s, act %d): ended with status %d\n", ways[born->way], born->act, status);
  born->pid = 0;
}

/* Looks at each once. Returns a free place, or NULL. */
static struct born *reap(void) {
  struct born *place = NULL;
  for (int i = 0; i < AT_A_TIME; i++) {
    struct born *born = &living[i];
    int status = 0;
    if (born->pid && waitpid(born->pid, &status, WNOHANG) == born->pid) has_ended(born, status);
    if (born->pid && now_ms() - born->at_ms > HANGS_MS * slowdown()) {
      fprintf(stderr, "FAILED child %d (%s, act %d): hangs\n", (int)born->pid, ways[born->way], born->act);
      show_stacks(born->pid);
      kill(born->pid, SIGKILL);
      waitpid(born->pid, &status, 0);
      hung++;
      born->pid = 0;
    }
    if (!born->pid) place = born;
  }
  return place;
}

static void bear(int way, const char *program) {
  struct born *place = reap();
  for (; !place; place = reap()) nap_ms(1);
  place->way = way;
  place->at_ms = now_ms();
  place->pid = begin(way, program);
  place->act = next_act;
  CHECK(place->pid > 0);
  begun[way]++;
}

static int all_have_ended(void) {
  reap();
  for (int i = 0; i < AT_A_TIME; i++) {
    if (living[i].pid) return 0;
  }
  return 1;
}

/* ------------------------------------------------------------------------------------------- */

static void begin_realtime(void) {
  pthread_attr_t attributes;
  struct sched_param priority;
  memset(&priority, 0, sizeof priority);
  priority.sched_priority = 10;
  pthread_attr_init(&attributes);
  pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
  pthread_attr_setschedparam(&attributes, &priority);
  is_realtime = pthread_create(&realtime, &attributes, forks_in_time, NULL) == 0;
  if (!is_realtime) {
    printf("threads of real-time priority are not allowed here: an ordinary one instead\n");
    pthread_create(&realtime, NULL, forks_in_time, NULL);
  }
}

static int as_spawned(const char *place) {
  snprintf(directory, sizeof directory, "%s", place);
  tu_client *client = stored_client();
  int good = is_served(client, NULL);
  tu_free(client);
  return !good;
}

static int tokens_live(int seconds) {
  char fault[64];
  snprintf(fault, sizeof fault, "{\"route\":\"token\",\"expires_in\":%d}", seconds);
  return set_fault(fault);
}

int main(int count, char **words) {
  static const int share_of_ways[WAYS] = {13, 4, 2, 1};
  static void *(*const bodies[])(void *) = {renews, creates_and_closes, waits, resolves};
  enum { BUSY = sizeof bodies / sizeof *bodies };
  pthread_t busy[BUSY];
  char url[96];
  if (count > 2 && !strcmp(words[1], "child")) return as_spawned(words[2]);
  int forks = count > 1 ? atoi(words[1]) : 1000;
  seed = count > 2 ? strtoull(words[2], NULL, 10) : (unsigned long long)time(NULL);
  unsigned long long first_seed = seed;
  seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
  make_directory("random-forks");
  listen_at(url, sizeof url);
  CHECK(clear_faults() && tokens_live(LONG_LIFE_S));
  steady = client_of("timeout", "30s");
  CHECK(steady && is_served(steady, NULL));
  CHECK(clear_faults() && tokens_live(LIFE_S));
  shared = client_of("timeout", "30s");
  stored = stored_client();
  silent = client_of("token_url", url);
  CHECK(shared && stored && silent && is_served(shared, NULL));
  sem_init(&realtime_wanted, 0, 0);
  sem_init(&forked, 0, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, NULL);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, NULL); /* inherited by the threads */
  for (int i = 0; i < BUSY; i++) pthread_create(&busy[i], NULL, bodies[i], NULL);
  pthread_create(&caller, NULL, calls, NULL);
  begin_realtime();
  fflush(NULL);
  double from = now_ms();
  for (int i = 0; i < forks; i++) {
    struct timespec pause = {0, (long)drawn(2000) * 1000};
    nanosleep(&pause, NULL);
    bear(drawn_by_shares(share_of_ways, WAYS), words[0]);
  }
  while (!all_have_ended()) nap_ms(1);
  double took = now_ms() - from;
  done = 1;
  sem_post(&realtime_wanted);
  for (int i = 0; i < BUSY; i++) pthread_join(busy[i], NULL);
  pthread_join(caller, NULL);
  pthread_join(realtime, NULL);
  CHECK(hung == 0);
  CHECK(killed == 0);
  CHECK(without_token == 0);
  CHECK(failed_gets == 0);
  CHECK(longest_fork_ms < LONGEST_FORK_MS * slowdown());
  printf("%d forks in %.0f s (", forks, took / 1e3);
  for (int i = 0; i < WAYS; i++) printf("%s%s: %d", i ? ", " : "", ways[i], begun[i]);
  printf("): %d children hung, %d were killed, %d got no token; the longest fork %.1f ms; %d failed gets "
         "in the parent; seed %llu\n",
         hung, killed, without_token, longest_fork_ms, failed_gets, first_seed);
  tu_free(steady), tu_free(silent), tu_free(stored), tu_free(shared);
  remove_directory();
  return closing_line();
}
