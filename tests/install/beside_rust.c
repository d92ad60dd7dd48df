/* Links tu_token with two other static Rust libraries into one program. The second one is built like
 * libtu_token.a, so that what holds for it also holds for tu_token. */

#include <stdint.h>
#include <stdio.h>

#include <tu_token.h>

extern int32_t plain_panics(int32_t divisor);
extern int32_t hidden_panics(int32_t divisor);

static int failures = 0;

static void expect(bool fulfilled, const char *what)
{
    if (!fulfilled) {
        fprintf(stderr, "failed: %s\n", what);
        failures++;
    }
}

static void tokens_are_asked_for(void)
{
    tu_error *error = NULL;
    tu_config *config = tu_config_new();
    tu_client *client;
    tu_token *token;

    /* Port 1 is closed. */
    tu_config_set(config, "token_url", "http://127.0.0.1:1/token");
    tu_config_set(config, "client_id", "someone");
    tu_config_set(config, "client_secret", "something");
    tu_config_set(config, "scope", "asset.view");
    tu_config_set(config, "proxy", "none");
    tu_config_set(config, "fetch_timeout", "2s");
    client = tu_client_new(config, &error);
    expect(client != NULL, "a client");
    token = tu_token_get(client, NULL, &error);
    expect(token == NULL && tu_error_status(error) == TU_NETWORK, "TU_NETWORK");
    tu_free(token);
    tu_free(client);
    tu_free(error);
    tu_free(config);
}

static void panics_stay_where_they_are(void)
{
    expect(plain_panics(4) == 25, "the plain library divides");
    expect(plain_panics(0) == -1, "the plain library catches its panic");
    expect(hidden_panics(5) == 20, "the library built like tu_token divides");
    expect(hidden_panics(0) == -1, "the library built like tu_token catches its panic");
}

int main(void)
{
    tokens_are_asked_for();
    panics_stay_where_they_are();
    tokens_are_asked_for();
    return failures == 0 ? 0 : 1;
}
