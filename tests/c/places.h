/* Files in a directory of the test's own, and endpoints that say nothing. */
#ifndef PLACES_H
#define PLACES_H

#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[80];

/* `name` says which test left it, if one is killed. */
static inline void make_directory(const char *name) {
  snprintf(directory, sizeof directory, "/tmp/tu-%s-XXXXXX", name);
  CHECK(mkdtemp(directory) != NULL);
}

/* From now on, a directory in it that this process alone uses. */
static inline void enter_own_directory(void) {
  size_t length = strlen(directory);
  snprintf(directory + length, sizeof directory - length, "/%d", (int)getpid());
  CHECK(mkdir(directory, 0700) == 0);
}

static inline void remove_directory(void) {
  char command[96];
  snprintf(command, sizeof command, "rm -rf %s", directory);
  CHECK(system(command) == 0);
}

/* A path in it, in one of a few buffers. */
static inline const char *path_of(const char *name) {
  static char paths[16][160];
  static int next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof *paths, "%s/%s", directory, name);
  return path;
}

static inline void write_text(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
  close(file);
}

static inline void copy_file(const char *from, const char *path) {
  char text[65536];
  FILE *file = fopen(from, "r");
  size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (file) fclose(file);
  text[length] = '\0';
  write_text(path, text);
}

/* A socket that accepts connections, and its URL. */
static inline int listen_at(char *url, size_t room) {
  struct sockaddr_in address;
  socklen_t length = sizeof address;
  int listening = socket(AF_INET, SOCK_STREAM, 0);
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(listening, (struct sockaddr *)&address, length) == 0 && listen(listening, 1000) == 0);
  getsockname(listening, (struct sockaddr *)&address, &length);
  snprintf(url, room, "http://127.0.0.1:%d/token/v2", ntohs(address.sin_port));
  return listening;
}

#endif
