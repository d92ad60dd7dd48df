/* What Go needs to see without a call whether its copy of a token is current. */
#include "bridge.h"

uint64_t tutoken_go_watch(const tu_client *client, const char *scope, tutoken_go_watched *seen) {
  seen->at.struct_size = sizeof seen->at;
  if (!tu_token_watch(client, scope, &seen->at)) return 0;
  seen->version = __atomic_load_n(seen->at.version, __ATOMIC_ACQUIRE);
  seen->forks = __atomic_load_n(seen->at.forks, __ATOMIC_ACQUIRE);
  uint64_t serial = tu_token_at_hand(client, scope);
  bool same = __atomic_load_n(seen->at.version, __ATOMIC_ACQUIRE) == seen->version;
  return same ? serial : 0;
}
