/* Includes only the header, twice, and uses its macros. Compiled as C and as C++, never run. */

#include "tu_token.h"
#include "tu_token.h"

/* The macros must work in the preprocessor too, where programs check the version. */
#if !TU_VERSION_AT_LEAST(0, 1, 0) || TU_VERSION_AT_LEAST(255, 0, 0)
#error "TU_VERSION_AT_LEAST is wrong"
#endif
#if TU_VERSION_NUMBER < 0x000100
#error "TU_VERSION_NUMBER is wrong"
#endif

int main(void)
{
    tu_get_options options = TU_GET_OPTIONS_INIT;
    tu_config *config = tu_config_new();
    tu_error *error = NULL;
    tu_client *client;
    tu_token *token;
    tu_stats stats;
    tu_status status;

    if (tu_version_number() < TU_VERSION_NUMBER || !TU_VERSION_AT_LEAST(0, 1, 0)) {
        return 1;
    }
    tu_config_set(config, "scope", "asset.view");
    client = tu_client_new(config, &error);
    options.timeout_ms = TU_NO_WAIT;
    token = tu_token_get_with(client, &options, &error);
    stats.struct_size = sizeof stats;
    status = tu_client_stats(client, NULL, &stats, NULL);
    tu_free(token);
    tu_free(error);
    tu_free(client);
    tu_free(config);
    return status == TU_OK && stats.state == TU_STATE_FRESH ? 0 : 1;
}
