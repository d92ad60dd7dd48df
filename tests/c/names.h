/*
 * Name look-ups of the program and of the library: names that end in ".test" are resolved as
 * "localhost" is, after `names_take_ms`. A lock is held meanwhile, as the C library holds its own: a
 * child that is forked then inherits it, and its look-ups hang.
 */
#ifndef NAMES_H
#define NAMES_H

#include "process.h"

#include <dlfcn.h>
#include <netdb.h>

static volatile long names_take_ms;
static pthread_mutex_t resolver = PTHREAD_MUTEX_INITIALIZER;

typedef int (*resolve_fn)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

extern int resolve_test_names(const char *, const char *, const struct addrinfo *, struct addrinfo **)
    __asm__("getaddrinfo");

int resolve_test_names(const char *name, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found) {
  resolve_fn real;
  void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
  memcpy(&real, &symbol, sizeof real);
  size_t length = name ? strlen(name) : 0;
  if (length <= 5 || strcmp(name + length - 5, ".test") != 0) return real(name, service, hints, found);
  pthread_mutex_lock(&resolver);
  if (names_take_ms) nap_ms(names_take_ms);
  int status = real("localhost", service, hints, found);
  pthread_mutex_unlock(&resolver);
  return status;
}

#endif
