/*
 * Callers on a cold cache, all at once.
 * Usage: crowd threads|async|futex CALLERS DELAY   (ms until the endpoint answers)
 *
 * Writes `crowd: all`, the time from the first call until the last caller has its token, and, for threads,
 * `crowd: waking`, the time from the first caller that has it to the last: for threads that sleep on a bare
 * futex too. Also `crowd: requests`.
 */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "../bench.h"

static tu_client *client;
static atomic_int word, ready, done;
static _Atomic double first_done, last_done, first_call;

static void note_done(void) {
  double now = now_ms(), none = 0;
  atomic_compare_exchange_strong(&first_done, &none, now);
  double last = atomic_load(&last_done);
  while (now > last && !atomic_compare_exchange_weak(&last_done, &last, now)) continue;
  atomic_fetch_add(&done, 1);
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
  note_done();
  return NULL;
}

static void *sleeps(void *place) {
  (void)place;
  note_call();
  while (!atomic_load(&word)) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
  note_done();
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
static void run_threads(int callers, void *(*does)(void *), double delay) {
  pthread_t *threads = calloc((size_t)callers, sizeof *threads);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 128 * 1024);
  for (int i = 0; i < callers; i++) must(!pthread_create(&threads[i], &small, does, NULL), "no thread", NULL);
  if (does == sleeps) {
    while (atomic_load(&ready) < callers) usleep(1000);
    usleep((useconds_t)(delay * 1000));
    atomic_store(&word, 1);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, callers, NULL, NULL, 0);
  }
  for (int i = 0; i < callers; i++) pthread_join(threads[i], NULL);
  free(threads);
}

static void run_async(int callers) {
  note_call();
  for (int i = 0; i < callers; i++) {
    tu_error *error = NULL;
    must(!tu_token_get_async(client, NULL, answered, NULL, NULL, &error), "async", error);
  }
  while (atomic_load(&done) < callers) usleep(500);
}

static void row(const char *part, const char *name, int callers, const char *unit, double figure) {
  samples(part, name, callers, unit, &figure, 1);
}

int main(int count, char **words) {
  must(count == 4, "usage: crowd threads|async|futex CALLERS DELAY", NULL);
  int callers = atoi(words[2]);
  char path[64];
  snprintf(path, sizeof path, "/delay-%s/token", words[3]);
  client = client_of(url_of("BENCH_PLAIN", path), callers, NULL);
  double before = tokens_sent();
  if (!strcmp(words[1], "futex")) {
    run_threads(callers, sleeps, atof(words[3]));
    row("crowd: waking", "bare futex", callers, "ms", last_done - first_done);
  } else if (!strcmp(words[1], "threads")) {
    run_threads(callers, gets, 0);
    row("crowd: all", "threads in tu_token_get", callers, "ms", last_done - first_call);
    row("crowd: waking", "threads in tu_token_get", callers, "ms", last_done - first_done);
    row("crowd: requests", "threads in tu_token_get", callers, "requests", tokens_sent() - before);
  } else {
    run_async(callers);
    row("crowd: all", "calls of tu_token_get_async", callers, "ms", last_done - first_call);
    row("crowd: requests", "calls of tu_token_get_async", callers, "requests", tokens_sent() - before);
  }
  tu_free(client);
  return 0;
}
