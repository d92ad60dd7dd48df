/*
 * Forks at odd moments: while another thread stays inside the loader or the library, from a signal handler that
 * interrupted a wait, with the program's own pthread_atfork handlers that use the library, by many
 * threads at once, at the end of a thread and of the process. Every fork returns in time, and every
 * child gets a token. Usage: odd_forks FORKS
 */
#include "check.h"
#include "emulator.h"
#include "process.h"

#include <link.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Ten times the longest that a fork may block. */
#define LONGEST_MS 1000

static tu_client *client;
static double longest_ms;
static int lost;

static int get_good(void) {
  tu_token *token = tu_token_get(client, NULL, NULL);
  int good = token && is_good(tu_token_header(token));
  tu_free(token);
  return good;
}

static void look(void) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  tu_client_stats(client, NULL, &stats, NULL);
}

static void reap(pid_t pid) {
  int status = -1;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) __sync_fetch_and_add(&lost, 1);
}

/* Forks a child that gets a token, and measures the fork. */
static double fork_one(void) {
  double began = now_ms();
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    _exit(!get_good());
  }
  double took = now_ms() - began;
  reap(pid);
  return took;
}

static void tell(const char *what, int forks) {
  printf("%s: %d forks, %d children lost, the longest fork %.1f ms\n", what, forks, lost, longest_ms);
  fflush(NULL);
  CHECK(lost == 0);
  CHECK(longest_ms < LONGEST_MS * slowdown());
  lost = 0;
  longest_ms = 0;
}

/* --- a thread that does not leave ---------------------------------------------------------- */

static volatile int is_stuck, let_go, done;

static void stay(int number) {
  (void)number;
  is_stuck = 1;
  for (int i = 0; i < 5000 && !let_go; i++) nap_ms(1);
  is_stuck = 0;
}

static void *look_again_and_again(void *unused) {
  while (!done) look();
  return unused;
}

static void fork_beside(pthread_t thread) {
  let_go = 0;
  nap_ms(1);
  pthread_kill(thread, SIGUSR1);
  while (!is_stuck) nap_ms(1);
  double took = fork_one();
  if (took > longest_ms) longest_ms = took;
  let_go = 1;
  while (is_stuck) nap_ms(1);
  look(); /* the gate is open again */
}

/* A signal handler stops a thread where it is, sometimes while it holds a lock. The fork does not
 * wait for it beyond its limit; the child then starts without the state behind that lock and has to
 * fetch. Repeats until there was such a child. */
static void beside_a_thread_that_stays_inside(int forks) {
  enum { MOST = 500 };
  pthread_t thread;
  long before = requests_to("token"), empty = 0;
  int made = 0;
  signal(SIGUSR1, stay);
  done = 0;
  pthread_create(&thread, NULL, look_again_and_again, NULL);
  while (made < forks || (empty == 0 && made < MOST)) {
    fork_beside(thread);
    if (++made >= forks) empty = requests_to("token") - before;
  }
  done = 1;
  pthread_join(thread, NULL);
  printf("%ld children began with nothing\n", empty);
  CHECK(empty > 0);
  CHECK(get_good());
  tell("while a thread stays inside", made);
}

/* --- a wait that is interrupted ------------------------------------------------------------ */

static volatile pid_t handlers_child;
static volatile int is_child;

static void fork_here(int number) {
  (void)number;
  pid_t pid = fork();
  if (pid == 0) {
    is_child = 1;
    alarm(20);
  } else {
    handlers_child = pid;
  }
}

static volatile pid_t waiting_thread;

static void *wait_for_a_token(void *unused) {
  waiting_thread = (pid_t)syscall(SYS_gettid);
  int good = get_good();
  if (is_child) _exit(!good);
  CHECK(good);
  return unused;
}

static int is_asleep(pid_t thread) {
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
  FILE *stat = fopen(path, "r");
  if (stat && fscanf(stat, "%*d (%*[^)]) %c", &state) != 1) state = 0;
  if (stat) fclose(stat);
  return state == 'S';
}

/* The child returns into a wait for its parent's fetch, and fetches itself. */
static void out_of_a_wait(void) {
  pthread_t waiting;
  signal(SIGUSR1, fork_here);
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
  long before = requests_to("token");
  CHECK(set_fault("[{\"delay\":\"60s\",\"count\":1}]"));
  pthread_create(&waiting, NULL, wait_for_a_token, NULL);
  while (requests_to("token") == before) nap_ms(1);
  /* On its way to the wait it allocates, and a fork must not interrupt the C library's allocator. */
  while (!is_asleep(waiting_thread)) nap_ms(1);
  pthread_kill(waiting, SIGUSR1);
  while (handlers_child == 0) nap_ms(1);
  reap(handlers_child);
  CHECK(clear_faults());
  pthread_join(waiting, NULL);
  tell("out of a wait", 1);
}

/* --- the program's own atfork handlers ----------------------------------------------------- */

static volatile int use_in_handlers, prepared, after_in_parent, good_in_child;

static void before_fork(void) {
  if (!use_in_handlers) return;
  look();
  /* A token that another thread must fetch. */
  tu_token *token = tu_token_get(client, NULL, NULL);
  tu_client_invalidate(client, token);
  tu_free(token);
  prepared += get_good();
}

static void in_parent(void) {
  if (use_in_handlers) after_in_parent += get_good();
}

static void in_child(void) {
  if (use_in_handlers) good_in_child = get_good();
}

static void with_handlers_of_the_programs(int forks) {
  use_in_handlers = 1;
  for (int i = 0; i < forks; i++) {
    double began = now_ms();
    pid_t pid = fork();
    if (pid == 0) {
      alarm(60);
      use_in_handlers = 0;
      _exit(!good_in_child || !get_good());
    }
    /* The library starts fetches at least 1 s apart, also after an invalidation. */
    CHECK(now_ms() - began < 1000 + 10 * LONGEST_MS * slowdown());
    reap(pid);
  }
  use_in_handlers = 0;
  CHECK(prepared == forks);
  CHECK(after_in_parent == forks);
  tell("with handlers of the program's", forks);
}

/* --- many at once -------------------------------------------------------------------------- */

static void *fork_some(void *number) {
  for (int i = 0; i < *(int *)number; i++) {
    double took = fork_one();
    if (took > longest_ms) longest_ms = took;
  }
  return NULL;
}

static void many_at_once(int forks) {
  pthread_t threads[8], busy;
  int each = forks / 8 + 1;
  done = 0;
  pthread_create(&busy, NULL, look_again_and_again, NULL);
  for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, fork_some, &each);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
  done = 1;
  pthread_join(busy, NULL);
  tell("many at once", 8 * each);
}

/* --- at the end of a thread, and of a process ---------------------------------------------- */

static void fork_at_the_end(void) {
  if (fork_one() > LONGEST_MS * slowdown() || lost > 0) _exit(1);
}

static void fork_at_the_threads_end(void *unused) {
  (void)unused;
  fork_one();
}

static void *leave_a_destructor(void *key) {
  pthread_setspecific(*(pthread_key_t *)key, key);
  CHECK(get_good());
  return NULL;
}

static void at_the_end(void) {
  pthread_key_t key;
  pthread_t thread;
  pthread_key_create(&key, fork_at_the_threads_end);
  pthread_create(&thread, NULL, leave_a_destructor, &key);
  pthread_join(thread, NULL);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    atexit(fork_at_the_end);
    exit(0);
  }
  reap(pid);
  tell("at the end of a thread and of a process", 3);
}

/* The child creates the first client of all while a lock of the loader stays held, as by an exception. */
static int is_in_loader, may_leave_loader;

static int stay_in_loader(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)info, (void)size, (void)unused;
  __atomic_store_n(&is_in_loader, 1, __ATOMIC_SEQ_CST);
  while (!__atomic_load_n(&may_leave_loader, __ATOMIC_SEQ_CST)) nap_ms(1);
  return 1;
}

static void *look_at_objects(void *unused) {
  dl_iterate_phdr(stay_in_loader, NULL);
  return unused;
}

static void before_the_first_client(void) {
  pthread_t other;
  pthread_create(&other, NULL, look_at_objects, NULL);
  while (!__atomic_load_n(&is_in_loader, __ATOMIC_SEQ_CST)) nap_ms(1);
  double began = now_ms();
  pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    client = tu_client_new(NULL, NULL);
    _exit(!client || !get_good());
  }
  longest_ms = now_ms() - began;
  reap(pid);
  __atomic_store_n(&may_leave_loader, 1, __ATOMIC_SEQ_CST);
  pthread_join(other, NULL);
  tell("before the first client", 1);
}

int main(int count, char **words) {
  int forks = count > 1 ? atoi(words[1]) : 40;
  /* Registered before the library's own, so they run after those before a fork, and first after it. */
  pthread_atfork(before_fork, in_parent, in_child);
  before_the_first_client();
  client = tu_client_new(NULL, NULL);
  CHECK(client != NULL);
  CHECK(get_good());
  beside_a_thread_that_stays_inside(forks);
  out_of_a_wait();
  with_handlers_of_the_programs(3);
  many_at_once(forks);
  at_the_end();
  tu_free(client);
  return closing_line();
}
