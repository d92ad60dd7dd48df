/* A minimal program outside the tree, compiled as C and as C++. */

#include <stdio.h>
#include <string.h>

#include <tu_token.h>

static int failures = 0;

static void expect(bool fulfilled, const char *what, const tu_error *error)
{
    if (!fulfilled) {
        fprintf(stderr, "failed: %s; error: %s \"%s\"\n", what,
                tu_status_name(tu_error_status(error)), tu_error_message(error));
        failures++;
    }
}

static void header_and_library_belong_together(void)
{
    printf("tu_token %s\n", tu_version());
    expect(tu_version_number() == TU_VERSION_NUMBER, "library and header are one version", NULL);
}

static void a_misspelt_key_is_named(void)
{
    tu_error *error = NULL;
    tu_config *config = tu_config_new();
    tu_client *client;

    tu_config_set(config, "clientid", "someone");
    client = tu_client_new(config, &error);
    expect(client == NULL, "no client with a misspelt key", error);
    expect(tu_error_status(error) == TU_CONFIG, "TU_CONFIG", error);
    expect(strstr(tu_error_message(error), "did you mean") != NULL, "a suggestion", error);
    expect(strstr(tu_error_message(error), "client_id") != NULL, "the right key", error);
    tu_free(client);
    tu_free(error);
    tu_free(config);
}

/* Port 1 is closed. */
static void a_refused_connection_is_a_network_error(void)
{
    tu_error *error = NULL;
    tu_config *config = tu_config_new();
    tu_client *client;
    tu_token *token;

    tu_config_set(config, "token_url", "http://127.0.0.1:1/token");
    tu_config_set(config, "client_id", "someone");
    tu_config_set(config, "client_secret", "something");
    tu_config_set(config, "scope", "asset.view");
    tu_config_set(config, "proxy", "none");
    tu_config_set(config, "fetch_timeout", "2s");
    client = tu_client_new(config, &error);
    expect(client != NULL, "a client", error);
    token = tu_token_get(client, NULL, &error);
    expect(token == NULL, "no token", error);
    expect(tu_error_status(error) == TU_NETWORK, "TU_NETWORK", error);
    expect(tu_error_is_retryable(error), "retryable", error);
    tu_free(token);
    tu_free(client);
    tu_free(error);
    tu_free(config);
}

int main(void)
{
    header_and_library_belong_together();
    a_misspelt_key_is_named();
    a_refused_connection_is_a_network_error();
    return failures == 0 ? 0 : 1;
}
