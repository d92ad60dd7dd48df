/*
 * The kernel's limit on the number of tasks of a process: each cell of a test can have a cgroup of its own.
 * Then threads and child processes are refused, as in a container with a pids limit.
 */
#ifndef PIDS_H
#define PIDS_H

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory in which cgroups can be made; empty if there is none. */
static char pids_base[160];
static char pids_group[256];

static inline int write_pids(const char *name, const char *text) {
  char path[320];
  snprintf(path, sizeof path, "%s/%s", pids_group, name);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  int is_written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
  if (file >= 0) close(file);
  return is_written;
}

/* `owner` is the process of the whole test, which removes them afterwards. */
static inline int make_pids_group(const char *base, pid_t owner) {
  snprintf(pids_group, sizeof pids_group, "%s/tu-test-%d-%d", base, (int)owner, (int)getpid());
  if (mkdir(pids_group, 0700) != 0) return 0;
  /* Both versions of cgroups; the files of version 2 exist only where its controller is switched on. */
  if (write_pids("pids.max", "max")) return 1;
  rmdir(pids_group);
  return 0;
}

/* Version 1, this process's own group in version 2, and the root of version 2. */
static inline int find_pids(void) {
  static const char *const bases[] = {"/sys/fs/cgroup/pids", "", "/sys/fs/cgroup"};
  char line[256], own[128] = "";
  FILE *groups = fopen("/proc/self/cgroup", "r");
  while (groups && fgets(line, sizeof line, groups)) sscanf(line, "0::%127s", own);
  if (groups) fclose(groups);
  for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
    if (*bases[i]) snprintf(pids_base, sizeof pids_base, "%s", bases[i]);
    else snprintf(pids_base, sizeof pids_base, "/sys/fs/cgroup%s", own);
    if (make_pids_group(pids_base, getpid())) return rmdir(pids_group) == 0;
  }
  *pids_base = '\0';
  return 0;
}

static inline void enter_pids_group(pid_t owner) {
  CHECK(make_pids_group(pids_base, owner) && write_pids("cgroup.procs", "0"));
}

/* With a process in the group, any further task exceeds the limit. */
static inline void limit_pids(int is_short) { CHECK(write_pids("pids.max", is_short ? "1" : "max")); }

/* How often the kernel has refused a task there. */
static inline int pids_refused(void) {
  char path[320];
  int count = 0;
  snprintf(path, sizeof path, "%s/pids.events", pids_group);
  FILE *events = fopen(path, "r");
  if (events && fscanf(events, "max %d", &count) != 1) count = 0;
  if (events) fclose(events);
  return count;
}

/* Those of all cells, which have ended. */
static inline void remove_pids_groups(void) {
  char command[512];
  snprintf(command, sizeof command, "for group in %s/tu-test-%d-*; do [ ! -d $group ] || rmdir $group || exit; done",
           pids_base, (int)getpid());
  CHECK(!*pids_base || system(command) == 0);
}

#endif
