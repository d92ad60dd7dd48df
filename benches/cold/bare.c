/*
 * A token request by hand: the socket calls alone, plain, to an address. What first.c takes for the same
 * request beyond this is the library's.
 * Usage: bare GROUP ROW PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "../bench.h"

static const char REQUEST[] =
    "POST /token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 85\r\n\r\n"
    "grant_type=client_credentials&client_id=bench&client_secret=secret&scope=asset.view  ";

static void request(int port) {
  int descriptor = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((unsigned short)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  must(!connect(descriptor, (struct sockaddr *)&address, sizeof address), "connect", NULL);
  must(write(descriptor, REQUEST, sizeof REQUEST - 1) > 0, "write", NULL);
  char answer[4096];
  while (read(descriptor, answer, sizeof answer) > 0) continue;
  close(descriptor);
}

int main(int count, char **words) {
  must(count == 4, "usage: bare GROUP ROW PORT", NULL);
  char group[128];
  const char *parts[] = {"first", "further fetch", "further fetch", "further fetch"};
  for (int i = 0; i < 4; i++) {
    double from = now_ms();
    request(atoi(words[3]));
    double ms = now_ms() - from;
    snprintf(group, sizeof group, "%s: %s", words[1], parts[i]);
    samples(group, words[2], 1, "ms", &ms, 1);
  }
  return 0;
}
