/* A copy of the library that the program loads by itself: its functions, looked up by name. */
#ifndef LOADED_H
#define LOADED_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <tu_token.h>

#define FUNCTIONS(each)                                                                              \
  each(tu_config_new) each(tu_config_load_env) each(tu_config_set) each(tu_config_on_event)          \
  each(tu_client_new) each(tu_client_close) each(tu_client_stats) each(tu_token_get)                 \
  each(tu_token_get_with) each(tu_token_get_async) each(tu_token_at_hand) each(tu_token_serial)      \
  each(tu_token_value) each(tu_client_invalidate) each(tu_error_status) each(tu_free)

struct loaded {
  void *handle;
#define MEMBER(name) __typeof__(&name) name;
  FUNCTIONS(MEMBER)
#undef MEMBER
};

/* ISO C has no conversion from void * to a function pointer; POSIX permits the copy. */
static inline void look_up(void *handle, const char *name, void *function) {
  *(void **)function = dlsym(handle, name);
  if (*(void **)function) return;
  fprintf(stderr, "%s\n", dlerror());
  exit(1);
}

static inline struct loaded load(const char *path) {
  struct loaded copy;
  copy.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!copy.handle) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
#define LOOK_UP(name) look_up(copy.handle, #name, (void *)&copy.name);
  FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  return copy;
}

#endif
