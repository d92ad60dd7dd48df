/*
 * Callers on a cold cache, all at once.
 * Usage: crowd threads|async|futex|copies CALLERS DELAY   (ms until the endpoint answers)
 *
 * Writes `crowd: all`, the time from the first call until the last caller has its token, and, for threads,
 * `crowd: waking`, the time from the first caller that has it to the last. Also `crowd: requests`.
 *
 * futex: as many threads that sleep on a bare futex, without a timeout. copies: with one, and each then allocates
 * memory and copies something as long as a token. As in the library, the thread that wakes them is another than the
 * one that waits for their end. All threads stay until the last has what it waited for, so that their ends are not
 * measured.
 */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "../bench.h"

static tu_client *client;
static atomic_int word, ready, done, all_done;
static int callers;
static double delay;
static _Atomic double first_done, last_done, first_call;

static void note_done(void) {
  double now = now_ms(), none = 0;
  atomic_compare_exchange_strong(&first_done, &none, now);
  double last = atomic_load(&last_done);
  while (now > last && !atomic_compare_exchange_weak(&last_done, &last, now)) continue;
  atomic_fetch_add(&done, 1);
}

static void sleep_on(atomic_int *place, const struct timespec *longest) {
  while (!atomic_load(place)) syscall(SYS_futex, place, FUTEX_WAIT_PRIVATE, 0, longest, NULL, 0);
}

static void wake_all(atomic_int *place) {
  atomic_store(place, 1);
  syscall(SYS_futex, place, FUTEX_WAKE_PRIVATE, callers, NULL, NULL, 0);
}

/* For a thread that has what it waited for. */
static void *stay(void) {
  note_done();
  if (atomic_load(&done) == callers) wake_all(&all_done);
  sleep_on(&all_done, NULL);
  return NULL;
}

static void note_call(void) {
  double none = 0;
  atomic_compare_exchange_strong(&first_call, &none, now_ms());
  atomic_fetch_add(&ready, 1);
}

static void *gets(void *place) {
  (void)place;
  note_call();
  get(client, NULL);
  return stay();
}

static void *sleeps(void *place) {
  (void)place;
  note_call();
  sleep_on(&word, NULL);
  return stay();
}

static void *sleeps_and_copies(void *place) {
  static const char token[960] = "token";
  (void)place;
  note_call();
  sleep_on(&word, &(struct timespec){60, 0});
  char *volatile copy = malloc(sizeof token);
  memcpy(copy, token, sizeof token);
  explicit_bzero(copy, sizeof token);
  free(copy);
  return stay();
}

static void *wakes(void *place) {
  (void)place;
  while (atomic_load(&ready) < callers) usleep(1000);
  usleep((useconds_t)(delay * 1000));
  wake_all(&word);
  return NULL;
}

static void answered(void *place, tu_token *token, tu_error *error) {
  (void)place;
  must(token != NULL, "no token", error);
  tu_free(token);
  note_done();
}

static double tokens_sent(void) {
  char command[300], line[32] = "";
  snprintf(command, sizeof command, "curl -s '%s'", url_of("BENCH_PLAIN", "/count"));
  FILE *counted = popen(command, "r");
  must(counted && fgets(line, sizeof line, counted), "no count", NULL);
  pclose(counted);
  return atof(line);
}

/* As many threads as asked for; they end before it returns. */
static void run_threads(void *(*does)(void *)) {
  pthread_t *threads = calloc((size_t)callers, sizeof *threads), waker;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 128 * 1024);
  for (int i = 0; i < callers; i++) must(!pthread_create(&threads[i], &small, does, NULL), "no thread", NULL);
  if (does != gets) must(!pthread_create(&waker, NULL, wakes, NULL), "no thread", NULL);
  for (int i = 0; i < callers; i++) pthread_join(threads[i], NULL);
  if (does != gets) pthread_join(waker, NULL);
  free(threads);
}

static void run_async(void) {
  note_call();
  for (int i = 0; i < callers; i++) {
    tu_error *error = NULL;
    must(!tu_token_get_async(client, NULL, answered, NULL, NULL, &error), "async", error);
  }
  while (atomic_load(&done) < callers) usleep(500);
}

static void row(const char *part, const char *name, const char *unit, double figure) {
  samples(part, name, callers, unit, &figure, 1);
}

int main(int count, char **words) {
  must(count == 4, "usage: crowd threads|async|futex|copies CALLERS DELAY", NULL);
  callers = atoi(words[2]);
  delay = atof(words[3]);
  char path[64];
  snprintf(path, sizeof path, "/delay-%s/token", words[3]);
  client = client_of(url_of("BENCH_PLAIN", path), callers, NULL);
  double before = tokens_sent();
  if (!strcmp(words[1], "futex")) {
    run_threads(sleeps);
    row("crowd: waking", "bare futex", "ms", last_done - first_done);
  } else if (!strcmp(words[1], "copies")) {
    run_threads(sleeps_and_copies);
    row("crowd: waking", "futex with a timeout, malloc, copy", "ms", last_done - first_done);
  } else if (!strcmp(words[1], "threads")) {
    run_threads(gets);
    row("crowd: all", "threads in tu_token_get", "ms", last_done - first_call);
    row("crowd: waking", "threads in tu_token_get", "ms", last_done - first_done);
    row("crowd: requests", "threads in tu_token_get", "requests", tokens_sent() - before);
  } else {
    run_async();
    row("crowd: all", "calls of tu_token_get_async", "ms", last_done - first_call);
    row("crowd: requests", "calls of tu_token_get_async", "requests", tokens_sent() - before);
  }
  tu_free(client);
  return 0;
}
