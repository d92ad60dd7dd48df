/* The testee for C: requests and reports as JSON. */
#ifndef C_JSON_H
#define C_JSON_H

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <tu_token.h>

static void *must(void *memory) {
  if (!memory) {
    fputs("out of memory\n", stderr);
    exit(70);
  }
  return memory;
}

/* --- members of requests ------------------------------------------------------------------- */

static const char *text(const cJSON *request, const char *name) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request, name));
}

static int64_t number(const cJSON *request, const char *name, int64_t otherwise) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(request, name);
  return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : otherwise;
}

static cJSON *with(const char *name, cJSON *value) {
  cJSON *object = must(cJSON_CreateObject());
  cJSON_AddItemToObject(object, name, value);
  return object;
}

static cJSON *ok(void) {
  return with("ok", cJSON_CreateTrue());
}

static cJSON *unsupported(const char *what) {
  return with("unsupported", cJSON_CreateString(what));
}

/* --- reports --------------------------------------------------------------------------------- */

/* Takes ownership of the error. */
static cJSON *failed(tu_error *error) {
  cJSON *shown = must(cJSON_CreateObject());
  const char *code = tu_error_oauth_code(error);
  const char *cause = tu_error_cause(error);
  cJSON_AddNumberToObject(shown, "status", tu_error_status(error));
  cJSON_AddStringToObject(shown, "message", tu_error_message(error));
  cJSON_AddItemToObject(shown, "oauth_code", code ? cJSON_CreateString(code) : cJSON_CreateNull());
  cJSON_AddNumberToObject(shown, "http_status", tu_error_http_status(error));
  cJSON_AddBoolToObject(shown, "retryable", tu_error_is_retryable(error));
  cJSON_AddNumberToObject(shown, "retry_after_ms", (double)tu_error_retry_after_ms(error));
  cJSON_AddItemToObject(shown, "cause", cause ? cJSON_CreateString(cause) : cJSON_CreateNull());
  tu_free(error);
  return with("error", shown);
}

/* Takes ownership of both, one of which is NULL. */
static cJSON *token_or_error(tu_token *token, tu_error *error) {
  if (!token) {
    return failed(error);
  }
  cJSON *shown = must(cJSON_CreateObject());
  cJSON_AddStringToObject(shown, "token", tu_token_value(token));
  cJSON_AddStringToObject(shown, "bearer", tu_token_bearer(token));
  cJSON_AddStringToObject(shown, "header", tu_token_header(token));
  cJSON_AddStringToObject(shown, "scope", tu_token_scope(token));
  cJSON_AddNumberToObject(shown, "expires_in_ms", (double)tu_token_expires_in_ms(token));
  cJSON_AddNumberToObject(shown, "fresh_for_ms", (double)tu_token_fresh_for_ms(token));
  tu_free(token);
  return shown;
}

static cJSON *status_or_error(tu_status status, tu_error *error) {
  return status == TU_OK ? ok() : failed(error);
}

#endif
