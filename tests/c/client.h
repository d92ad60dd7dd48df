/* Shared by the C tests: a client that has to be made. */
#ifndef CLIENT_H
#define CLIENT_H

#include "check.h"

/* Takes the config. NULL, and a failed check with the reason, if there is no client of it. */
static inline tu_client *made(tu_config *config) {
  tu_error *error = NULL;
  tu_client *made = tu_client_new(config, &error);
  if (!made) fprintf(stderr, "%s\n", tu_error_message(error));
  CHECK(made != NULL);
  tu_free(error);
  tu_free(config);
  return made;
}

#endif
