/* Shared by the C tests: counting checks, and the closing line. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>
#include <tu_token.h>

static int checks_passed, checks_failed;

#define CHECK(what)                                                                  \
  do {                                                                               \
    if (what) {                                                                      \
      checks_passed++;                                                               \
    } else {                                                                         \
      checks_failed++;                                                               \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #what);             \
    }                                                                                \
  } while (0)

/* Checks an error's status and that its message contains a text, then releases it. */
#define CHECK_ERROR(error, expected, text)                                           \
  do {                                                                               \
    if (tu_error_status(error) != (expected) ||                                      \
        !strstr(tu_error_message(error), text)) {                                    \
      fprintf(stderr, "%s:%d: found %s: %s\n", __FILE__, __LINE__,                   \
              tu_status_name(tu_error_status(error)), tu_error_message(error));      \
    }                                                                                \
    CHECK(tu_error_status(error) == (expected));                                     \
    CHECK(strstr(tu_error_message(error), text) != NULL);                            \
    tu_free(error);                                                                  \
    error = NULL;                                                                    \
  } while (0)

static int closing_line(void) {
  printf("%d passed, %d failed\n", checks_passed, checks_failed);
  return checks_failed != 0;
}

#endif
