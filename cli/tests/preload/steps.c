// To be preloaded into a program: counts its operations on files and connections, writes the name of each
// step to STEPS_LOG, and stops the program (SIGSTOP) before step number STEPS_STOP_AT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define MOST_FILES 1024

static atomic_int steps;
// The files of the store; operations on other files are not steps.
static atomic_bool is_ours[MOST_FILES];

static int ours(int fd) { return fd >= 0 && fd < MOST_FILES && is_ours[fd]; }

static void step(const char *what, const char *name) {
  const char *log = getenv("STEPS_LOG"), *at = getenv("STEPS_STOP_AT");
  const char *kind = name != NULL ? strrchr(name, '.') : NULL;
  char line[64];
  int length = snprintf(line, sizeof line, "%s%s\n", what, kind != NULL ? kind : "");
  int fd = log != NULL ? REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) {
    syscall(SYS_write, fd, line, (size_t)length);
    syscall(SYS_close, fd);
  }
  if (atomic_fetch_add(&steps, 1) + 1 == (at != NULL ? atoi(at) : 0)) kill(getpid(), SIGSTOP);
}

int openat(int directory, const char *name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;
  va_end(more);
  step("open", name);
  int fd = REAL(openat)(directory, name, flags, mode);
  if (fd >= 0 && fd < MOST_FILES) is_ours[fd] = 1;
  return fd;
}

int fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void *argument = va_arg(more, void *);
  va_end(more);
  if (command == F_SETLK) step("lock", NULL);
  return REAL(fcntl)(fd, command, argument);
}

int mkdir(const char *path, mode_t mode) {
  step("mkdir", NULL);
  return REAL(mkdir)(path, mode);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
  step("connect", NULL);
  return REAL(connect)(fd, address, length);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
  step("send", NULL);
  return REAL(send)(fd, bytes, length, flags);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags) {
  step("recv", NULL);
  return REAL(recv)(fd, bytes, length, flags);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (ours(fd)) step("write", NULL);
  return REAL(write)(fd, bytes, length);
}

int renameat(int from, const char *old, int to, const char *name) {
  step("rename", name);
  return REAL(renameat)(from, old, to, name);
}

int unlinkat(int directory, const char *name, int flags) {
  step("unlink", name);
  return REAL(unlinkat)(directory, name, flags);
}

int close(int fd) {
  if (ours(fd)) {
    step("close", NULL);
    is_ours[fd] = 0;
  }
  return REAL(close)(fd);
}
