// To be preloaded into a program: writes the path of each file it opens, "connect" for each connection and
// "thread" for each thread it starts to OPENED_LOG.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void note(const char *what) {
  const char *log = getenv("OPENED_LOG");
  int file = log ? REAL(open64)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (file < 0) return;
  char line[512] = {0};
  strncpy(line, what, sizeof line - 2);
  line[strlen(line)] = '\n';
  if (write(file, line, strlen(line)) < 0) abort();
  close(file);
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPEN(name)                           \
  int name(const char *path, int flags, ...) { \
    va_list rest;                            \
    va_start(rest, flags);                   \
    mode_t mode = mode_of(flags, rest);      \
    va_end(rest);                            \
    note(path);                              \
    return REAL(name)(path, flags, mode);    \
  }

#define OPENAT(name)                                        \
  int name(int directory, const char *path, int flags, ...) { \
    va_list rest;                                           \
    va_start(rest, flags);                                  \
    mode_t mode = mode_of(flags, rest);                     \
    va_end(rest);                                           \
    note(path);                                             \
    return REAL(name)(directory, path, flags, mode);        \
  }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int connect(int socket, const struct sockaddr *address, socklen_t length) {
  note("connect");
  return REAL(connect)(socket, address, length);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  note("thread");
  return REAL(pthread_create)(thread, attributes, run, argument);
}
