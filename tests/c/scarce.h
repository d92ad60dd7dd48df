/*
 * Resources that the system refuses for a while. pthread_create is replaced, for the library too:
 * while `threads_are_short` is set it fails as under a pids limit. Descriptors are limited with
 * setrlimit. A thread that is started beforehand ends the shortage, without the library's help.
 */
#ifndef SCARCE_H
#define SCARCE_H

#include "process.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <sys/resource.h>

static volatile int threads_are_short, starts_refused;

typedef int (*create_fn)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static inline create_fn real_create(void) {
  create_fn found;
  void *symbol = dlsym(RTLD_NEXT, "pthread_create");
  memcpy(&found, &symbol, sizeof found);
  return found;
}

/* By its symbol's name: C++ declares the function with another exception specification. */
extern int create_or_refuse(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *)
    __asm__("pthread_create");

int create_or_refuse(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                     void *place) {
  if (threads_are_short) {
    __sync_fetch_and_add(&starts_refused, 1);
    return EAGAIN;
  }
  return real_create()(thread, attributes, body, place);
}

static inline void no_threads(int is_short) { threads_are_short = is_short; }

/* The standard streams stay; nothing else can be opened. */
static inline void no_descriptors(int is_short) {
  static rlim_t usual;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  if (is_short) usual = limit.rlim_cur;
  limit.rlim_cur = is_short ? 3 : usual;
  setrlimit(RLIMIT_NOFILE, &limit);
}

struct shortage {
  const char *name;
  void (*set)(int is_short);
  long lasts_ms; /* 0: until the calls have been answered */
  volatile int begun, ended;
  pthread_t ending;
};

static inline void *end_in_time(void *place) {
  struct shortage *shortage = (struct shortage *)place;
  while (!shortage->begun) nap_ms(1);
  nap_ms(shortage->lasts_ms);
  shortage->set(0);
  shortage->ended = 1;
  return NULL;
}

/* To be called before the shortage begins. */
static inline void shortage_is_near(struct shortage *shortage) {
  shortage->begun = shortage->ended = 0;
  if (shortage->lasts_ms) real_create()(&shortage->ending, NULL, end_in_time, shortage);
}

static inline void shortage_begins(struct shortage *shortage) {
  shortage->set(1);
  shortage->begun = 1;
}

/* Waits until it is over, or ends it. */
static inline void shortage_is_over(struct shortage *shortage) {
  if (shortage->lasts_ms) {
    pthread_join(shortage->ending, NULL);
  } else {
    shortage->set(0);
    shortage->ended = 1;
  }
}

#endif
