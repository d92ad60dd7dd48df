/*
 * A real-time thread forks while an ordinary thread on the same processor is inside the library: that
 * thread can leave it only if the fork sleeps. Exit 77: real-time priority is not allowed here.
 * Usage: realtime_forks FORKS
 */
#include "check.h"
#include "process.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ten times the longest that a fork may block; the kernel runs an ordinary thread after 950 ms. */
#define LONGEST_MS 500

static tu_client *client;
static volatile int done;

static int pin(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  return sched_setaffinity(0, sizeof one, &one) == 0;
}

static void *stay_inside(void *unused) {
  tu_stats stats;
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  while (!done) tu_client_stats(client, NULL, &stats, NULL);
  return unused;
}

static int lost;
static double longest_ms;

static void *fork_again_and_again(void *number) {
  for (int i = 0; i < *(int *)number; i++) {
    nap_ms(1);
    double began = now_ms();
    pid_t pid = fork();
    if (pid == 0) {
      tu_stats stats;
      memset(&stats, 0, sizeof stats);
      stats.struct_size = sizeof stats;
      alarm(60);
      _exit(tu_client_stats(client, NULL, &stats, NULL) != TU_OK);
    }
    double took = now_ms() - began;
    if (took > longest_ms) longest_ms = took;
    int status = -1;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) lost++;
  }
  done = 1;
  return NULL;
}

int main(int count, char **words) {
  int forks = count > 1 ? atoi(words[1]) : 200;
  pthread_t inside, forking;
  pthread_attr_t realtime;
  struct sched_param priority;
  memset(&priority, 0, sizeof priority);
  priority.sched_priority = 10;
  tu_config *config = tu_config_new();
  tu_config_set(config, "client_id", "id");
  tu_config_set(config, "client_secret", "secret");
  tu_config_set(config, "scope", "asset.view");
  client = tu_client_new(config, NULL);
  tu_free(config);
  CHECK(client != NULL);
  if (!pin()) {
    printf("SKIPPED: a process cannot be pinned to a processor here\n");
    return 77;
  }
  pthread_create(&inside, NULL, stay_inside, NULL);
  pthread_attr_init(&realtime);
  pthread_attr_setinheritsched(&realtime, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&realtime, SCHED_FIFO);
  pthread_attr_setschedparam(&realtime, &priority);
  if (pthread_create(&forking, &realtime, fork_again_and_again, &forks) != 0) {
    printf("SKIPPED: threads of real-time priority are not allowed here\n");
    return 77;
  }
  pthread_join(forking, NULL);
  pthread_join(inside, NULL);
  printf("%d forks with an ordinary thread, %d children lost, the longest fork %.1f ms\n", forks,
         lost, longest_ms);
  CHECK(lost == 0);
  CHECK(longest_ms < LONGEST_MS * slowdown());
  tu_free(client);
  return closing_line();
}
