/* Prints the bare access token for TRACKUNIT_*: the smallest useful program. */
#include <stdio.h>
#include <tu_token.h>

int main(void) {
  tu_error *error = NULL;
  tu_client *client = tu_client_new(NULL, &error);
  tu_token *token = client ? tu_token_get(client, NULL, &error) : NULL;
  if (token) {
    puts(tu_token_value(token));
  } else {
    fprintf(stderr, "%s: %s\n", tu_status_name(tu_error_status(error)), tu_error_message(error));
  }
  int status = token ? 0 : 1;
  tu_free(token);
  tu_free(error);
  tu_free(client);
  return status;
}
