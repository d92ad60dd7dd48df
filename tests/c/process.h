/* Threads, memory and time of the test process. */
#ifndef PROCESS_H
#define PROCESS_H

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static inline void nap_ms(long ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}

/* Factor for time limits: under valgrind, threads take turns, and a busy machine makes them long. */
static inline int slowdown(void) {
  const char *preload = getenv("LD_PRELOAD");
  return preload && strstr(preload, "vgpreload") ? 20 : 1;
}

static int entries_of(const char *path) {
  DIR *directory = opendir(path);
  int count = 0;
  if (!directory) return -1;
  while (readdir(directory)) count++;
  closedir(directory);
  return count - 2;
}

static inline int threads_now(void) { return entries_of("/proc/self/task"); }

/* One of them is the open directory itself. */
static inline int descriptors_now(void) { return entries_of("/proc/self/fd") - 1; }

/* Bytes in use on the heaps of all threads. */
static inline long heap_now(void) {
  struct mallinfo2 heap = mallinfo2();
  return (long)(heap.uordblks + heap.hblkhd);
}

/* Bytes of private resident memory, such as the heap and thread stacks. */
static inline long resident_now(void) {
  char line[256];
  long kib = -1;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) sscanf(line, "RssAnon: %ld", &kib);
  if (status) fclose(status);
  return kib * 1024;
}

/* A thread that samples the number of threads every 2 ms. */
struct watch {
  pthread_t thread;
  volatile int done;
  int most;
};

static inline void *watch_threads(void *place) {
  struct watch *watch = (struct watch *)place;
  while (!watch->done) {
    int threads = threads_now();
    if (threads > watch->most) watch->most = threads;
    nap_ms(2);
  }
  return NULL;
}

static inline void watch_begins(struct watch *watch) {
  memset(watch, 0, sizeof *watch);
  pthread_create(&watch->thread, NULL, watch_threads, watch);
}

/* The most threads at a time, without the sampling one and `own`. */
static inline int watch_ends(struct watch *watch, int own) {
  watch->done = 1;
  pthread_join(watch->thread, NULL);
  return watch->most - 1 - own;
}

static inline int ascending(const void *left, const void *right) {
  double difference = *(const double *)left - *(const double *)right;
  return (difference > 0) - (difference < 0);
}

#endif
