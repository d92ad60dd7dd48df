/*
 * A file system that hangs, like one whose server is down: FUSE without a library, in a mount namespace of the
 * process. Requests that must hang are never read from /dev/fuse, so a process that waits for them can still be killed.
 */
#ifndef HANGING_H
#define HANGING_H

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* NO_FLUSH: closing the file sends no request. Otherwise an exiting process would wait for the reply and could not be
 * killed. Supported from this minor version of the protocol on; older headers do not define it. */
enum { FILE_NODE = 2, CACHED_S = 3600, NO_FLUSH = 1 << 5, NO_FLUSH_SINCE = 35 };

/* The descriptor stays open as long as the process lives. */
struct mounted {
  int device, opens_files;
};

static inline void answer_request(int device, unsigned long long unique, int error, const void *data, size_t length) {
  struct fuse_out_header header;
  memset(&header, 0, sizeof header);
  header.unique = unique;
  header.error = -error;
  header.len = (unsigned)(sizeof header + length);
  struct iovec parts[2] = {{&header, sizeof header}, {(void *)data, length}};
  if (writev(device, parts, length ? 2 : 1) < 0) perror("/dev/fuse");
}

static inline struct fuse_attr attributes_of(unsigned long long node) {
  struct fuse_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.ino = node;
  attributes.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700;
  attributes.size = 100;
  attributes.nlink = 1;
  return attributes;
}

/* Whether the next request is to be answered too. */
static inline int answer_one(const struct mounted *mounted) {
  union {
    struct fuse_in_header header;
    char bytes[FUSE_MIN_READ_BUFFER + 4096];
  } request;
  if (read(mounted->device, &request, sizeof request) < (ssize_t)sizeof request.header) return 0;
  unsigned long long unique = request.header.unique;
  switch (request.header.opcode) {
    case FUSE_INIT: {
      const struct fuse_init_in *in = (const struct fuse_init_in *)(const void *)(&request.header + 1);
      if (in->minor < NO_FLUSH_SINCE) return 0;
      struct fuse_init_out out;
      memset(&out, 0, sizeof out);
      out.major = FUSE_KERNEL_VERSION;
      out.minor = FUSE_KERNEL_MINOR_VERSION;
      out.max_write = 4096;
      answer_request(mounted->device, unique, 0, &out, sizeof out);
      return 1;
    }
    case FUSE_LOOKUP: {
      struct fuse_entry_out out;
      memset(&out, 0, sizeof out);
      out.nodeid = FILE_NODE;
      out.entry_valid = out.attr_valid = CACHED_S;
      out.attr = attributes_of(FILE_NODE);
      answer_request(mounted->device, unique, 0, &out, sizeof out);
      return 1;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out out;
      memset(&out, 0, sizeof out);
      out.attr_valid = CACHED_S;
      out.attr = attributes_of(request.header.nodeid);
      answer_request(mounted->device, unique, 0, &out, sizeof out);
      return 1;
    }
    case FUSE_OPEN: {
      struct fuse_open_out out;
      memset(&out, 0, sizeof out);
      out.open_flags = FOPEN_DIRECT_IO | NO_FLUSH;
      answer_request(mounted->device, unique, 0, &out, sizeof out);
      return 0;
    }
    case FUSE_FORGET: return 1;
    default: answer_request(mounted->device, unique, ENOSYS, NULL, 0); return 1;
  }
}

static inline void *answer_all(void *place) {
  while (answer_one((const struct mounted *)place)) continue;
  return NULL;
}

/* Mounts it on an empty directory, for this process and its children. It answers no request, or with `opens_files` all
 * requests up to the first open. Returns 0, or the error's number. */
static inline int mount_hanging(const char *directory, int opens_files) {
  static struct mounted mounted;
  char options[96];
  pthread_t thread;
  mounted.opens_files = opens_files;
  mounted.device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (mounted.device < 0) return errno;
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%d,group_id=%d", mounted.device, (int)getuid(),
           (int)getgid());
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("hanging", directory, "fuse", MS_NOSUID | MS_NODEV, options) != 0)
    return errno;
  if (!answer_one(&mounted)) return EPROTONOSUPPORT;
  return !opens_files ? 0 : pthread_create(&thread, NULL, answer_all, &mounted);
}

/* Whether it can be mounted here: 0, or the error's number. */
static inline int can_mount_hanging(void) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) _exit(mount_hanging("/tmp", 0));
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return EIO;
  return WEXITSTATUS(status);
}

#endif
