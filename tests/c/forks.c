/*
 * Children of a busy process: 4 threads get and renew (so let the tokens be short) while the
 * process forks again and again. Every child must have a token, cached or fetched, and end.
 * Usage: forks CHILDREN
 */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static tu_client *client;
static volatile int done;

static void *keep_busy(void *unused) {
  (void)unused;
  while (!done) {
    tu_token *token = tu_token_get(client, NULL, NULL);
    tu_free(token);
  }
  return NULL;
}

static int child(void) {
  alarm(60); /* a child that hangs is killed, and counted below */
  tu_token *token = tu_token_get(client, NULL, NULL);
  int good = token != NULL && tu_token_length(token) > 0;
  tu_free(token);
  tu_free(client);
  return good ? 0 : 1;
}

int main(int count, char **words) {
  int children = count > 1 ? atoi(words[1]) : 50;
  pthread_t threads[4];
  client = tu_client_new(NULL, NULL);
  CHECK(client != NULL);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, keep_busy, NULL);
  for (int i = 0; i < children; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(child());
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  done = 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  tu_free(client);
  return closing_line();
}
