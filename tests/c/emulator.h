/*
 * Requests from the C tests to the running emulator, one per connection. Safe in a fork child and on
 * many threads: no static variable is written.
 */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sends `request` to the port of EMULATOR_URL; the start of the answer goes to `answer`. */
static int exchange(const char *request, char *answer, size_t room) {
  const char *url = getenv("EMULATOR_URL");
  const char *colon = url ? strrchr(url, ':') : NULL;
  int made = colon ? socket(AF_INET, SOCK_STREAM, 0) : -1;
  if (made < 0) return 0;
  struct sockaddr_in address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)atoi(colon + 1));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  size_t got = 0, length = strlen(request);
  if (connect(made, (struct sockaddr *)&address, sizeof address) == 0 &&
      write(made, request, length) == (ssize_t)length) {
    for (ssize_t more = 1; more > 0 && got + 1 < room; got += more > 0 ? (size_t)more : 0)
      more = read(made, answer + got, room - 1 - got);
  }
  close(made);
  answer[got] = '\0';
  return got > 0;
}

/* The status of the answer; 0: no answer. A body that is not NULL is sent as JSON. */
static int emulator(const char *method, const char *path, const char *header, const char *body) {
  size_t room = 512 + strlen(header) + (body ? strlen(body) : 0);
  char *request = (char *)malloc(room), answer[512];
  int status = 0;
  snprintf(request, room,
           "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s%s"
           "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
           method, path, header, *header ? "\r\n" : "", body ? strlen(body) : 0, body ? body : "");
  if (!exchange(request, answer, sizeof answer) || sscanf(answer, "HTTP/1.1 %d", &status) != 1)
    status = 0;
  free(request);
  return status;
}

/* Whether the API accepts a header line "Authorization: Bearer ...": the emulator issued that token,
 * and it is valid. */
static inline int is_good(const char *authorization) {
  return emulator("GET", "/api/asset/v2/assets?size=1", authorization, NULL) == 200;
}

static inline int set_fault(const char *fault) {
  int status = emulator("POST", "/_emulator/faults", "", fault);
  return status >= 200 && status < 300;
}

/* Also releases every request that a fault holds. */
static inline int clear_faults(void) {
  int status = emulator("DELETE", "/_emulator/faults", "", NULL);
  return status >= 200 && status < 300;
}

/* Number of requests to a route; -1: no answer. */
static inline long requests_to(const char *route) {
  char request[256], answer[2048];
  snprintf(request, sizeof request,
           "GET /_emulator/count?route=%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
           route);
  const char *body = exchange(request, answer, sizeof answer) ? strstr(answer, "\r\n\r\n") : NULL;
  return body ? atol(body + 4) : -1;
}

#endif
