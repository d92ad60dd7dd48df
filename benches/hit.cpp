// The calls of tu_token.hpp for the table of hit.c, to show the overhead of the C++ header.
#include <tu_token.hpp>

static tu::client *client;

// Takes ownership of a client and fetches its token.
extern "C" int cpp_take(tu_client *taken) {
  client = new tu::client(taken);
  tu::error failure;
  return client->try_get({}, failure) ? 1 : 0;
}

extern "C" int cpp_copy(char *buffer) { return client->copy(buffer, 4096) != 0; }

extern "C" int cpp_get(char *buffer) {
  const tu::token token = client->get();
  buffer[0] = token.value()[0];
  return 1;
}
