/*
 * Tokens in a program with an event loop: nothing in the loop ever waits for the network.
 *
 *   export TRACKUNIT_CLIENT_ID=... TRACKUNIT_CLIENT_SECRET=... TRACKUNIT_SCOPE=asset.view
 *   cc event_loop.c $(pkg-config --cflags --libs tu_token) -o event_loop
 *   ./event_loop [TIMES [EVERY_MS]]      until SIGINT or SIGTERM, every 60,000 ms, without them
 *
 * The loop polls one pipe. Library threads write answers into it and the signal handler writes that it
 * is time to stop, so all of the program's own work stays on one thread and needs no lock.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tu_token.h>
#include <unistd.h>

/* What travels through the pipe. Smaller than PIPE_BUF, so each write is atomic. */
struct message {
  tu_token *token;
  tu_error *error; /* both NULL: stop */
};

/* The write end; a signal handler can reach nothing but a global. */
static int mailbox;

static void post(struct message message) {
  /* Never blocks: at most one answer and one stop are under way, and there is room for hundreds. */
  ssize_t written = write(mailbox, &message, sizeof message);
  (void)written;
}

static void stop(int signal) {
  static volatile sig_atomic_t is_posted;
  int interrupted_errno = errno;
  (void)signal;
  if (!is_posted) post((struct message){NULL, NULL});
  is_posted = 1;
  errno = interrupted_errno;
}

/* On a library thread, or within tu_token_get_async if a valid token is cached. */
static void answered(void *user_data, tu_token *token, tu_error *error) {
  (void)user_data;
  post((struct message){token, error});
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Starts to get a token; the answer comes through the pipe. Returns whether one will come. */
static bool ask(tu_client *client) {
  tu_error *error = NULL;
  if (tu_token_get_async(client, NULL, answered, NULL, NULL, &error) == TU_OK) return true;
  fprintf(stderr, "%s\n", tu_error_message(error));
  tu_free(error);
  return false;
}

/* Your program's work: here it starts a request with tu_token_header(token), without waiting. */
static bool use(tu_token *token, tu_error *error) {
  bool is_token = token != NULL;
  if (is_token) {
    printf("a token of %zu bytes\n", tu_token_length(token));
  } else {
    fprintf(stderr, "%s: %s\n", tu_status_name(tu_error_status(error)), tu_error_message(error));
  }
  fflush(stdout);
  tu_free(token);
  tu_free(error);
  return is_token;
}

/* Asks `times` times (-1: until a signal comes). Returns whether the last answer was a token. */
static bool loop(tu_client *client, int inbox, long times, long every_ms) {
  bool is_waiting = false, is_stopped = false, is_good = true;
  int64_t next = now_ms();

  while (times != 0 || is_waiting) {
    int64_t left = next - now_ms();
    if (times != 0 && !is_waiting && left <= 0) {
      next = now_ms() + every_ms;
      if (times > 0) times--;
      is_waiting = ask(client);
      is_good = is_good && is_waiting;
      continue;
    }
    /* Your own descriptors go into this list too. */
    struct pollfd sources[] = {{inbox, POLLIN, 0}};
    int timeout = is_waiting || times == 0 ? -1 : left > 0 ? (int)left : 0;
    if (poll(sources, 1, timeout) <= 0) continue; /* a timeout, or EINTR */

    struct message message;
    if (read(inbox, &message, sizeof message) != (ssize_t)sizeof message) continue;
    if (message.token || message.error) {
      is_waiting = false;
      is_good = use(message.token, message.error) || is_stopped;
    } else {
      is_stopped = true;
      times = 0;
      tu_client_close(client); /* a pending answer comes at once, as TU_CLOSED */
    }
  }
  return is_good;
}

int main(int count, char **arguments) {
  long times = count > 1 ? atol(arguments[1]) : -1;
  long every_ms = count > 2 ? atol(arguments[2]) : 60000;
  int ends[2];
  if (pipe(ends) != 0) {
    perror("pipe");
    return 1;
  }
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  mailbox = ends[1];

  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = stop;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);

  tu_error *error = NULL;
  tu_client *client = tu_client_new(NULL, &error); /* NULL: options from TRACKUNIT_* variables */
  if (!client) {
    fprintf(stderr, "%s\n", tu_error_message(error));
    tu_free(error);
    return 1;
  }
  bool is_good = loop(client, ends[0], times, every_ms);
  tu_free(client);
  /* The pipe stays open: the handler may still write into it, and without a reader that is SIGPIPE. */
  return is_good ? 0 : 1;
}
