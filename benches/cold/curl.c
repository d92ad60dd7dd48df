/*
 * The same as first.c by hand with libcurl and the system's trust store.
 * Usage: curl GROUP ROW URL
 */
#include <curl/curl.h>

#include "../bench.h"

static size_t drop(char *data, size_t size, size_t count, void *place) {
  (void)data, (void)place;
  return size * count;
}

static CURL *handle_of(const char *url) {
  CURL *handle = curl_easy_init();
  curl_easy_setopt(handle, CURLOPT_URL, url);
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS,
                   "grant_type=client_credentials&client_id=bench&client_secret=secret&scope=asset.view");
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, drop);
  return handle;
}

static void fetch(CURL *handle) {
  CURLcode code = curl_easy_perform(handle);
  must(code == CURLE_OK, curl_easy_strerror(code), NULL);
}

static void row(const char *group, const char *part, const char *name, double from) {
  double ms = now_ms() - from;
  char full[128];
  snprintf(full, sizeof full, "%s: %s", group, part);
  samples(full, name, 1, "ms", &ms, 1);
}

int main(int count, char **words) {
  must(count == 4, "usage: curl GROUP ROW URL", NULL);
  double from = now_ms();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL *handle = handle_of(words[3]);
  fetch(handle);
  row(words[1], "first", words[2], from);
  for (int i = 0; i < 4; i++) {
    from = now_ms();
    fetch(handle); /* on the connection that is still open */
    row(words[1], "further fetch", words[2], from);
  }
  for (int i = 0; i < 4; i++) {
    from = now_ms();
    CURL *further = handle_of(words[3]);
    fetch(further);
    row(words[1], "further client", words[2], from);
    curl_easy_cleanup(further);
  }
  return 0;
}
