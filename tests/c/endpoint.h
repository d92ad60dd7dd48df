/*
 * A token endpoint in its own process, which a test can stop. Each connection has a thread and serves one request. A
 * function of the test chooses the reply by the request and the number of requests before it.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "places.h"
#include "process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define JSON_REPLY(status, headers, body) \
  "HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n" headers "\r\n" body

struct reply {
  const char *text;
  long delay_ms;
};

struct endpoint {
  char url[96];
  pid_t process;
  int listening;
  struct reply (*reply)(const char *request, int before);
  int *requests; /* shared with its process */
};

struct connection {
  const struct endpoint *endpoint;
  int socket;
};

/* Reads the head and as much of the body as it says. */
static inline void read_request(int from, char *request, size_t room) {
  size_t got = 0, wanted = room - 1;
  while (got < wanted) {
    ssize_t more = recv(from, request + got, room - 1 - got, 0);
    if (more <= 0) break;
    got += (size_t)more;
    request[got] = '\0';
    const char *end = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "content-length:");
    if (end) wanted = (size_t)(end + 4 - request) + (length ? (size_t)atol(length + 15) : 0);
  }
  request[got] = '\0';
}

static inline void *serve_connection(void *place) {
  struct connection *connection = (struct connection *)place;
  char request[8192];
  read_request(connection->socket, request, sizeof request);
  if (*request) {
    int before = __sync_fetch_and_add(connection->endpoint->requests, 1);
    struct reply reply = connection->endpoint->reply(request, before);
    nap_ms(reply.delay_ms);
    send(connection->socket, reply.text, strlen(reply.text), MSG_NOSIGNAL);
  }
  close(connection->socket);
  free(connection);
  return NULL;
}

static inline void serve(const struct endpoint *endpoint) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    pthread_t thread;
    struct connection *connection = (struct connection *)malloc(sizeof *connection);
    connection->endpoint = endpoint;
    connection->socket = accept(endpoint->listening, NULL, NULL);
    if (pthread_create(&thread, NULL, serve_connection, connection) == 0) pthread_detach(thread);
  }
}

static inline void endpoint_begins(struct endpoint *endpoint, struct reply (*reply)(const char *, int)) {
  endpoint->reply = reply;
  endpoint->requests = (int *)mmap(NULL, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  endpoint->listening = listen_at(endpoint->url, sizeof endpoint->url);
  endpoint->process = fork();
  if (endpoint->process == 0) serve(endpoint);
  CHECK(endpoint->process > 0);
}

static inline int requests_of(const struct endpoint *endpoint) {
  return __atomic_load_n(endpoint->requests, __ATOMIC_SEQ_CST);
}

static inline void endpoint_ends(struct endpoint *endpoint) {
  kill(endpoint->process, SIGKILL);
  waitpid(endpoint->process, NULL, 0);
  close(endpoint->listening);
}

#endif
