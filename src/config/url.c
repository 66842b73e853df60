/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/url.h"

#include "base/authority.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <stdbool.h>
#include <string.h>

#define COAPS_PORT 5684
#define MQTTS_PORT 8883
#define URL_RULE "expected coaps://HOST, mqtts://HOST, or either with :PORT"

static int scheme(const char *text, bool *ret_mqtt, const char **ret_rest, struct error *e)
{
    const char *end = strstr(text, "://");
    size_t n = end ? (size_t)(end - text) : 0;

    if (!end || n == 0)
        return error_set(e, -EINVAL, "\"%.100s\" is not the address of an uplink; " URL_RULE, text);
    *ret_mqtt = n == 5 && strncasecmp(text, "mqtts", n) == 0;
    if (*ret_mqtt || (n == 5 && strncasecmp(text, "coaps", n) == 0)) {
        *ret_rest = end + 3;
        return 0;
    }
    if ((n == 4 && strncasecmp(text, "coap", n) == 0) || (n == 4 && strncasecmp(text, "mqtt", n) == 0))
        return error_set(e, -EINVAL,
                         "%.*s:// is not encrypted, and nothing leaves this gateway in plain text; " URL_RULE, (int)n,
                         text);
    return error_set(e, -EINVAL, "\"%.*s://\" is not known; " URL_RULE, (int)MIN_OF(n, (size_t)32), text);
}

int config_url_parse(const char *text, struct config_url *ret, struct error *e)
{
    struct config_url url = {0};
    const char *rest = "";
    size_t n;
    int r;

    r = scheme(text, &url.mqtt, &rest, e);
    if (r < 0)
        return r;
    url.port = url.mqtt ? MQTTS_PORT : COAPS_PORT;
    n = strcspn(rest, "/?#");
    if (rest[n] && strcmp(rest + n, "/") != 0)
        return error_set(e, -EINVAL, "the path \"%.64s\" does not belong here but into the profile; " URL_RULE,
                         rest + n);
    if (memchr(rest, '@', n))
        return error_set(e, -EINVAL, "names and keys do not belong into an address but into the vault; " URL_RULE);
    r = authority_parse(rest, n, url.mqtt ? "mqtts" : "coaps", URL_RULE, url.host, &url.port, e);
    if (r < 0)
        return r;
    *ret = url;
    return 0;
}

int config_https_check(const char *text, bool proxy, struct error *e)
{
    const char *rule = proxy ? "expected http://HOST:PORT or https://HOST:PORT"
                             : "expected https://HOST, with :PORT and /PATH if need be";
    bool tls = strncmp(text, "https://", 8) == 0;
    char host[CONFIG_HOST_MAX];
    const char *rest;
    uint16_t port;
    size_t n;

    if (!tls && strncmp(text, "http://", 7) == 0 && !proxy)
        return error_set(e, -EINVAL, "http:// is not encrypted, and keys are told to nobody in plain text; %s", rule);
    if (!tls && strncmp(text, "http://", 7) != 0)
        return error_set(e, -EINVAL, "\"%.100s\" is not the address of a %s; %s", text, proxy ? "proxy" : "cloud",
                         rule);
    if (strlen(text) > HTTPS_URL_MAX)
        return error_set(e, -EINVAL, "an address of %zu characters; at most %d are possible", strlen(text),
                         HTTPS_URL_MAX);
    rest = text + (tls ? 8 : 7);
    n = strcspn(rest, "/?#");
    if (memchr(rest, '@', n))
        return error_set(e, -EINVAL, "names and passwords do not belong into an address; %s", rule);
    if (rest[n] == '?' || rest[n] == '#' || strpbrk(rest + n, "?#") || (proxy && rest[n] && strcmp(rest + n, "/") != 0))
        return error_set(e, -EINVAL, "\"%.64s\" does not belong into this address; %s", rest + n, rule);
    for (const char *p = rest; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
            return error_set(e, -EINVAL, "\"%.100s\" has a character that no address has; %s", text, rule);
    return authority_parse(rest, n, tls ? "https" : "http", rule, host, &port, e);
}
