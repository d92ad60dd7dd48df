/*
 * The three calls, as a program to start from: get a token, call an IRIS API, and retry once if the
 * API refuses the token.
 *
 *   export TRACKUNIT_CLIENT_ID=... TRACKUNIT_CLIENT_SECRET=... TRACKUNIT_SCOPE=asset.view
 *   cc quickstart.c $(pkg-config --cflags --libs tu_token libcurl) -o quickstart && ./quickstart
 *
 * IRIS_URL replaces the base URL https://iris.trackunit.com, with the emulator's for example.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tu_token.h>

/* Writes the request URL to `url`. Returns whether it fits. */
static bool assets_url(char *url, size_t room) {
  const char *base = getenv("IRIS_URL");
  if (!base || !*base) base = "https://iris.trackunit.com";
  size_t length = strlen(base);
  if (base[length - 1] == '/') length--;
  int needed = snprintf(url, room, "%.*s/api/asset/v2/assets?size=1", (int)length, base);
  return needed > 0 && (size_t)needed < room;
}

static int failed(const char *what, tu_error *error) {
  fprintf(stderr, "%s: %s: %s\n", what, tu_status_name(tu_error_status(error)),
          tu_error_message(error));
  tu_free(error);
  return 1;
}

/* Calls the API; the answer goes to stdout. Returns the HTTP status, 0 if there was no answer. */
static long ask(CURL *curl, const char *url, const tu_token *token) {
  long status = 0;
  struct curl_slist *headers = curl_slist_append(NULL, tu_token_header(token));
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
  CURLcode result = curl_easy_perform(curl);
  if (result == CURLE_OK) {
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  } else {
    fprintf(stderr, "IRIS: %s\n", curl_easy_strerror(result));
  }
  curl_slist_free_all(headers);
  return status;
}

/* Calls the API with a token, and once more with a new one if the API refuses it. */
static long ask_with_token(CURL *curl, tu_client *client, const char *url) {
  tu_error *error = NULL;
  long status = 0;

  /* Get a token before every request: it is fetched once and cached. */
  for (int attempt = 0; attempt < 2; attempt++) {
    tu_token *token = tu_token_get(client, NULL, &error);
    if (!token) {
      failed("token", error);
      return 0;
    }
    status = ask(curl, url, token);
    if (status == 401 && attempt == 0) {
      tu_client_invalidate(client, token); /* the next get returns a new one */
    } else if (status == 401) {
      tu_client_api_refused(client, url); /* emits an event with the likely cause of two refusals */
    }
    tu_free(token);
    if (status != 401) break;
  }
  return status;
}

/* Whether the last answer declares itself JSON; a wrong address often returns an HTML page. */
static bool is_json(CURL *curl) {
  const char *type = NULL;
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  return type && strstr(type, "json") != NULL;
}

int main(void) {
  tu_error *error = NULL;
  char url[1024];
  if (!assets_url(url, sizeof url)) {
    fprintf(stderr, "IRIS_URL is too long\n");
    return 1;
  }

  tu_client *client = tu_client_new(NULL, &error); /* NULL: options from TRACKUNIT_* variables */
  if (!client) return failed("client", error);

  if (!tu_client_may_send_to(client, url)) { /* tokens are only sent to allowed hosts */
    fprintf(stderr, "a token is not sent to %s: see the option api_hosts\n", url);
    tu_free(client);
    return 1;
  }

  curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL *curl = curl_easy_init();
  long status = ask_with_token(curl, client, url);
  bool is_good = status == 200 && is_json(curl);

  if (status == 200 && !is_good) {
    fprintf(stderr, "\n%s answered, but not in JSON: is IRIS_URL right?\n", url);
  } else if (status) {
    printf("\nIRIS answered %ld\n", status);
  }

  curl_easy_cleanup(curl);
  curl_global_cleanup();
  tu_free(client);
  return is_good ? 0 : 1;
}
