/*
 * Cache hits for tests/instructions.sh: callgrind counts the instructions of each function named count_*.
 * The first argument is the number of calls that each of them makes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <tu_token.h>

enum { NAMES = 100 };

#define COUNTED __attribute__((noinline)) static void

static tu_client *client;
static char names[NAMES][16], text[4096];
static int calls;

static void get(const char *scope) {
  tu_token *token = tu_token_get(client, scope, NULL);
  if (tu_token_bearer(token)[0] != 'B') abort();
  tu_free(token);
}

static void copy(const char *scope) {
  size_t length;
  if (tu_token_copy(client, scope, text, sizeof text, &length, NULL) != TU_OK) abort();
}

/* The first calls find symbols, which the dynamic linker looks up at their first use. */
COUNTED count_warm_up(void) {
  copy(NULL);
  for (int i = 0; i < NAMES; i++) get(names[i]);
  get(NULL);
  if (!tu_token_at_hand(client, NULL)) abort();
}

COUNTED count_copy(void) {
  for (int i = 0; i < calls; i++) copy(NULL);
}

COUNTED count_get(void) {
  for (int i = 0; i < calls; i++) get(NULL);
}

COUNTED count_copy_named(void) {
  for (int i = 0; i < calls; i++) copy(names[i % NAMES]);
}

COUNTED count_get_named(void) {
  for (int i = 0; i < calls; i++) get(names[i % NAMES]);
}

COUNTED count_at_hand(void) {
  for (int i = 0; i < calls; i++)
    if (!tu_token_at_hand(client, NULL)) abort();
}

int main(int count, char **arguments) {
  tu_error *error = NULL;
  calls = count > 1 ? atoi(arguments[1]) : 1;
  client = tu_client_new(NULL, &error);
  for (int i = 0; client && i < NAMES; i++) {
    snprintf(names[i], sizeof names[i], "scope.%d", i);
    tu_free(tu_token_get(client, names[i], &error));
    if (error) break;
  }
  if (!error) tu_free(tu_token_get(client, NULL, &error));
  if (error) {
    fprintf(stderr, "%s\n", tu_error_message(error));
    return 1;
  }
  count_warm_up();
  count_copy();
  count_get();
  count_copy_named();
  count_get_named();
  count_at_hand();
  tu_free(client);
  return 0;
}
