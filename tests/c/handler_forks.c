/*
 * Forks in a signal handler. A timer signal interrupts library calls again and again, and the handler
 * forks at any point, even while the thread holds one of the library's locks. Every fork must return
 * in time, the interrupted call must continue in the parent, and every child must get a token: every
 * second one inside the handler, the others after returning from it into the interrupted call.
 * Usage: handler_forks CHILDREN
 */
#include "check.h"
#include "emulator.h"
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

/* Ten times the longest that a fork may block. */
#define LONGEST_MS 1000

static tu_client *client;
static volatile sig_atomic_t forked, done, is_child, last_child;
static volatile double longest_ms;

static int get_good(void) {
  tu_error *error = NULL;
  tu_token *token = tu_token_get(client, NULL, &error);
  int good = token && is_good(tu_token_header(token));
  if (!good) fprintf(stderr, "FAILED get: %s\n", token ? "a token that the API refuses" : tu_error_message(error));
  tu_free(token);
  tu_free(error);
  return good;
}

static void every_ms(long ms) {
  struct itimerval timer = {{0, 0}, {0, ms * 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void on_alarm(int number) {
  int before = errno;
  double began = now_ms();
  (void)number;
  if (last_child > 0 || done) return;
  pid_t pid = fork();
  if (pid == 0) {
    is_child = 1;
    signal(SIGALRM, SIG_DFL);
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(60);
    if (forked % 2 == 0) _exit(!get_good());
    return;
  }
  double took = now_ms() - began;
  if (took > longest_ms) longest_ms = took;
  last_child = pid;
  forked++;
  errno = before;
}

/* Neither of these allocates: a fork must not interrupt the C library's allocator in the same thread. */
static void call(int turn) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  char bearer[4096];
  size_t length;
  if (turn % 4 == 0) tu_token_copy(client, NULL, bearer, sizeof bearer, &length, NULL);
  else tu_client_stats(client, NULL, &stats, NULL);
}

static void *stay_busy(void *unused) {
  for (int turn = 0; !done; turn++) {
    call(turn);
    /* This one allocates; in this thread nothing forks. */
    if (turn % 4 == 1) tu_client_wake(client);
    if (turn % 64 == 0) nap_ms(1);
  }
  return unused;
}

int main(int count, char **words) {
  int children = count > 1 ? atoi(words[1]) : 200, lost = 0;
  pthread_t threads[2];
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  client = tu_client_new(NULL, NULL);
  CHECK(client != NULL);
  CHECK(get_good());
  sigprocmask(SIG_BLOCK, &alarms, NULL); /* inherited by the threads */
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, stay_busy, NULL);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  sigprocmask(SIG_UNBLOCK, &alarms, NULL);
  while (forked < children) {
    every_ms(1 + forked % 3);
    for (int turn = 0; last_child == 0; turn++) {
      call(turn);
      if (is_child) _exit(!get_good());
    }
    int status = -1;
    waitpid(last_child, &status, 0);
    if (status != 0) {
      lost++;
      fprintf(stderr, "FAILED child %d: ended with status %d\n", (int)forked, status);
    }
    last_child = 0;
  }
  done = 1;
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  CHECK(get_good());
  printf("%d forks in a signal handler, %d children lost, the longest fork %.1f ms\n", children, lost,
         longest_ms);
  CHECK(lost == 0);
  CHECK(longest_ms < LONGEST_MS * slowdown());
  tu_free(client);
  return closing_line();
}
